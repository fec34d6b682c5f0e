"""The command `synthanom evaluate`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from synthanom import exits
from synthanom.errors import SynthanomError
from synthanom.nearest import meant

if TYPE_CHECKING:
    from synthanom.evaluation import Evaluation
    from synthanom.evaluation.tables import Table

# options that the report on maps takes too
Truth = Annotated[Path | None, typer.Option(help="Folder of masks named as the scans.")]
Labels = Annotated[Path | None, typer.Option(help="CSV with the columns id, label (0 or 1) [, subject].")]
Missing = Annotated[Literal["refuse", "healthy"], typer.Option(help="What a map without mask and label is taken for.")]
Prevalence = Annotated[
    list[str] | None,
    typer.Option(help="Share of anomalous samples elsewhere, or LEVEL=SHARE: precision and predictive values."),
]
Setup = Annotated[Literal["own", "cradl"], typer.Option(help="Grid and region: the scans' own, or those of CRADL.")]
Beta = Annotated[float, typer.Option(help="Of F-beta, which also chooses oracle cuts.", min=0.01)]
Overlap = Annotated[
    float, typer.Option(help="Share of a lesion that must be called for it to be found.", min=0.001, max=1)
]
Seed = Annotated[int, typer.Option(help="Of the bootstrap over subjects.", min=0)]
LEVELS = ("sample", "slice", "pixel")
RANKING = ("average_precision", "roc_auc", "aupro", "at_prevalence")
AT_CUTS = ("f_beta", "precision", "recall", "specificity", "precision_at_prevalence")  # the files hold all
WIDE = 140  # characters, where the output has no width of its own


def evaluate(
    maps: Annotated[Path, typer.Argument(help="Folder of maps.", show_default=False)],
    truth: Truth = None,
    labels: Labels = None,
    missing: Missing = "refuse",
    baseline: Annotated[
        list[str] | None, typer.Option(help="NAME=FOLDER of other maps to print beside; repeatable.")
    ] = None,
    against: Annotated[
        list[Path] | None, typer.Option(help="Folder of other maps: differences with intervals; repeatable.")
    ] = None,
    images: Annotated[Path | None, typer.Option(help="The scans, or a test list: adds the trivial maps.")] = None,
    out: Annotated[
        Path | None, typer.Option(help="JSON to write (.json), or a folder for JSON, tables and figures.")
    ] = None,
    run: Annotated[Path | None, typer.Option(help="Run folder whose loss history is drawn, with --out FOLDER.")] = None,
    prevalence: Prevalence = None,
    setup: Setup = "own",
    beta: Beta = 1.1,
    overlap: Overlap = 0.1,
    seed: Seed = 0,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object, and nothing else, to stdout.")
    ] = False,
) -> None:
    """Figures per sample, slice, pixel and lesion with intervals, beside chance, trivial and other maps."""
    from synthanom.cli.reporting import check_out, save_evaluation
    from synthanom.evaluation import Choices
    from synthanom.evaluation import evaluate as evaluate_maps
    from synthanom.progress import shown

    as_folder = out is not None and check_out(out)
    if run is not None and not as_folder:
        raise SynthanomError(f"--run {run}: its loss history is drawn into a folder; name one with --out")
    others = named_maps(baseline or (), against or ())
    choices = Choices(
        seed=seed, setup=setup, beta=beta, overlap=overlap, prevalence=shares(prevalence or ()),
    )  # fmt: skip
    track = shown().track
    found = evaluate_maps(
        maps, truth, labels, missing=missing, baselines=others, images=images, choices=choices, track=track
    )
    for note in found.notes:
        typer.echo(note, err=True)
    if out is not None:
        sources = {"maps": maps, "truth": truth, "labels": labels, "images": images, "run": run}
        save_evaluation(out, found, sources, as_folder=as_folder, missing=missing)
    if as_json:
        exits.report(found.to_dict())
        return
    print_evaluation(found, list(others))
    if as_folder:
        typer.echo(f"{out}: evaluation.json, tables and figures")


def named_maps(given: list[str] | tuple[str, ...], against: list[Path] | tuple[Path, ...]) -> dict[str, Path]:
    """Other maps by name: those of --against are called like their folders.

    Raises
    ------
    SynthanomError
        Something else than NAME=FOLDER, or a name given twice.
    """
    named: dict[str, Path] = {}
    for text in given:
        name, sign, folder = text.partition("=")
        if not (name and sign and folder) or name in named:
            raise SynthanomError(f"--baseline must be NAME=FOLDER with a name of its own, got {text!r}")
        named[name] = Path(folder)
    for path in against:
        name = path.resolve().name
        if name in named:
            raise SynthanomError(f"--against {path}: {name!r} is the name of other maps; use --baseline NAME={path}")
        named[name] = path
    return named


def shares(given: list[str] | tuple[str, ...]) -> dict[str, float]:
    """Prevalence by level; a number alone is that of samples.

    Raises
    ------
    SynthanomError
        An unknown level, one given twice, or no number between 0 and 1.
    """
    found: dict[str, float] = {}
    for text in given:
        level, sign, number = text.rpartition("=")
        level = level if sign else LEVELS[0]
        try:
            share = float(number)
        except ValueError:
            share = -1.0
        near = "" if level in LEVELS else meant(level, LEVELS)
        if level not in LEVELS or level in found or not 0 < share < 1:
            raise SynthanomError(
                f"--prevalence must be a share between 0 and 1, or LEVEL=SHARE once for each of {', '.join(LEVELS)}, "
                f"got {text!r}; 0.02 is 2 %{near}"
            )
        found[level] = share
    return found


def print_evaluation(found: "Evaluation", others: list[str]) -> None:
    """Print the ranking of all maps, the model's main figures at cuts, and its differences to other maps."""
    from synthanom.evaluation.rows import MODEL
    from synthanom.evaluation.tables import cut_table, difference_table, ranking_table

    _print(ranking_table(found))
    _print(cut_table(found, maps=(MODEL,), figures=AT_CUTS))
    if others:
        _print(difference_table(found, maps=others, figures=RANKING))


def _print(given: "Table") -> None:
    from rich.console import Console
    from rich.table import Table

    from synthanom.evaluation.tables import shown

    if not given.rows:
        return
    table = Table(title=given.title)
    for place, name in enumerate(given.columns):
        table.add_column(name, justify="left" if place < given.left else "right")
    level = ""
    for first, *cells in given.rows:
        if level and first != level:
            table.add_section()
        table.add_row("" if first == level else str(first), *map(shown, cells))
        level = str(first)
    console = Console()
    # a pipe has no width of its own: nothing is cut off there
    widths = [max(len(shown(cell)) for cell in column) for column in zip(given.columns, *given.rows, strict=True)]
    wide = max(WIDE, sum(widths) + 3 * len(widths) + 1)
    Console(width=console.width if console.is_terminal else wide).print(table, markup=False)
    for caption in given.captions:
        typer.echo(f"* {caption}")
