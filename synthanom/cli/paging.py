"""The command `synthanom report`."""

from pathlib import Path
from typing import Annotated

import typer

from synthanom.cli.evaluating import Beta, Labels, Missing, Overlap, Prevalence, Seed, Setup, Truth, shares


def report(
    path: Annotated[
        Path, typer.Argument(help="Folder of a data set, a run, several runs, or maps.", show_default=False)
    ],
    out: Annotated[Path, typer.Option(help="HTML file to write.", show_default=False)],
    truth: Truth = None,
    labels: Labels = None,
    missing: Missing = "refuse",
    images: Annotated[
        Path | None, typer.Option(help="The scans, or a test list: shown under the maps; adds the trivial maps.")
    ] = None,
    run: Annotated[Path | None, typer.Option(help="Run folder whose losses and thresholds are also shown.")] = None,
    prevalence: Prevalence = None,
    setup: Setup = "own",
    beta: Beta = 1.1,
    overlap: Overlap = 0.1,
    seed: Seed = 0,
) -> None:
    """Write one self-contained HTML page to look through, on a laptop or a phone.

    All options but --out are for maps.
    """
    from synthanom.cli.saving import check_report, save_picture
    from synthanom.evaluation import Choices
    from synthanom.exporting.room import size_text
    from synthanom.progress import shown
    from synthanom.report import page_of, rendered
    from synthanom.report.asked import Asked

    check_report(out, path)
    choices = Choices(seed=seed, setup=setup, beta=beta, overlap=overlap, prevalence=shares(prevalence or ()))
    asked = Asked(truth=truth, labels=labels, images=images, run=run, missing=missing, choices=choices)
    page = page_of(path, shown().track, asked)
    save_picture(out, rendered(page))
    typer.echo(f"{out}: report on a {page.kind}, {len(page.sections)} sections, {size_text(out.stat().st_size)}")
