"""The command `synthanom`. Heavy imports wait inside the commands."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from synthanom import exits
from synthanom.cli.evaluating import evaluate
from synthanom.cli.exporting import export
from synthanom.cli.exporting_models import export_model
from synthanom.cli.merging import merge
from synthanom.cli.paging import report
from synthanom.cli.tabulating import tables
from synthanom.completion import listed_task_names, task_names
from synthanom.errors import SynthanomError

Normalise = Literal["auto", "zscore", "minus-one-one", "none"]
Device = Literal["auto", "cpu", "cuda"]
Donors = Annotated[
    list[Path] | None,
    typer.Option(help="To replay: data set to find external donors in, by their digests; repeatable."),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object, and nothing else, to stdout.")]

# after an interruption
HINTS = {
    "predict": f"{exits.AGAIN}: it begins anew, and writes over the maps that are there",
    "export": f"{exits.AGAIN}: files that are finished are kept",
    "check": f"{exits.AGAIN}: it only reads",
    "describe": f"{exits.AGAIN}: nothing was written",
    "evaluate": f"{exits.AGAIN}: nothing was written",
    "preview": f"{exits.AGAIN}: nothing was written",
    "report": f"{exits.AGAIN}: nothing was written",
}

app = typer.Typer(pretty_exceptions_enable=False, epilog=exits.EPILOG)


def _version(wanted: bool) -> None:
    if wanted:
        import synthanom

        typer.echo(f"synthanom {synthanom.__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def commands(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and leave.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """Look at synthetic anomalies, check data sets, score scans and judge the scores."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
        raise typer.Exit(exits.REFUSED)


@app.command()
def preview(
    source: Annotated[Path, typer.Argument(help="A data set, or one scan (file or DICOM folder).", show_default=False)],
    out: Annotated[Path, typer.Option(help="PNG to write.", show_default=False)],
    seed: Annotated[int, typer.Option(help="Another seed shows other anomalies.", min=0)] = 0,
    tasks: Annotated[
        str | None,
        typer.Option(help="Tasks to show, separated by commas; all without it.", autocompletion=listed_task_names),
    ] = None,
    normalise: Annotated[
        Normalise, typer.Option(help="For a scan: auto is z-score for volumes, [-1, 1] for pictures.")
    ] = "auto",
) -> None:
    """Draw one picture: each task before, after, difference, label and a profile through the anomaly."""
    from synthanom.cli.saving import check_picture, save_picture
    from synthanom.pictures import panel
    from synthanom.preview import is_dataset, preview_dataset, preview_scan
    from synthanom.progress import shown

    check_picture(out, source)
    chosen = None if tasks is None else [name.strip() for name in tasks.split(",")]
    if is_dataset(source):
        if normalise != "auto":
            raise SynthanomError(f"{source}: a data set is normalised already; leave --normalise out")
        found = preview_dataset(source, seed=seed, tasks=chosen)
    else:
        found = preview_scan(source, seed=seed, tasks=chosen, normalise=normalise, track=shown().track)
    for note in found.notes:
        typer.echo(f"not shown: {note}", err=True)
    save_picture(out, panel(found.examples, found.heading))
    typer.echo(f"{out}: {len(found.examples)} tasks, {out.stat().st_size // 1000} kB")


@app.command()
def check(
    data: Annotated[Path, typer.Argument(help="Folder of a data set.", show_default=False)],
    replay: Annotated[bool, typer.Option("--replay", help="Also make every anomaly again and compare.")] = False,
    donors: Donors = None,
    as_json: Json = False,
) -> None:
    """Verify a data set: digests, schema, ranges; with --replay every picture from its recipe."""
    from synthanom.cli.checking import check_data

    if donors and not replay:
        raise SynthanomError("--donors is needed to replay only; add --replay or leave it out")
    raise typer.Exit(check_data(data, replay=replay, donors=donors or (), as_json=as_json))


@app.command()
def replay(
    data: Annotated[Path, typer.Argument(help="Folder of a data set.", show_default=False)],
    task: Annotated[
        str | None,
        typer.Argument(help="Stored name of the task.", show_default=False, autocompletion=task_names),
    ] = None,
    row: Annotated[int | None, typer.Argument(help="Row of the task, from 0.", show_default=False)] = None,
    *,
    out: Annotated[Path, typer.Option(help="NIfTI, or PNG of a 2D image; the label is written beside it.")],
    recipe: Annotated[
        Path | None, typer.Option(help="File with a recipe, as live training leaves it, instead of task and row.")
    ] = None,
    donors: Donors = None,
) -> None:
    """Make a stored picture again from its recipe, and write it with its label."""
    from synthanom.cli.saving import save_recipe, save_row

    if recipe is not None and task is None:
        written = save_recipe(data, recipe, out, donors=donors or ())
    elif recipe is None and task is not None and row is not None:
        written = save_row(data, task, row, out, donors=donors or ())
    else:
        raise SynthanomError(
            f"replay needs a task and a row, or --recipe FILE, got task {task}, row {row} and recipe {recipe}; give "
            "either"
        )
    for path in written:
        typer.echo(str(path))


@app.command()
def predict(
    runs: Annotated[list[Path], typer.Argument(help="Run or model folders; several are averaged.", show_default=False)],
    given: Annotated[Path, typer.Option("--input", help="A scan, or a folder of scans.", show_default=False)],
    out: Annotated[Path, typer.Option(help="Folder for the maps.", show_default=False)],
    device: Annotated[Device, typer.Option(help="Where to compute.")] = "auto",
    channels: Annotated[
        str | None,
        typer.Option(help="Regular expression whose group captures the contrast in a path; else the model's own."),
    ] = None,
    foreground: Annotated[
        str | None, typer.Option(help="Pattern of mask files beside the scans, or none; else the model's own.")
    ] = None,
    allow_import: Annotated[
        bool, typer.Option("--allow-import", help="Let a model name its own network class; runs that code.")
    ] = False,
    within: Annotated[
        str | None,
        typer.Option(help="Pattern of mask files beside the scans, or a CSV of boxes: scores count inside only."),
    ] = None,
    memory: Annotated[
        float | None,
        typer.Option(help="GiB that scoring an image may take; larger ones go in windows. Else half of what is free."),
    ] = None,
    window: Annotated[
        str | None, typer.Option(help="Voxels per axis of the windows, as 96,128,128; or whole: cut nothing.")
    ] = None,
    mirror: Annotated[bool, typer.Option("--mirror", help="Mean with the map of the left-right mirror image.")] = False,
    dicom_seg: Annotated[
        bool, typer.Option("--dicom-seg", help="Also write maps of DICOM scans as fractional DICOM Segmentations.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Score scans: a map on each scan's own grid, scores.csv and predict.json."""
    from synthanom.cli.scoring import asked_scoring
    from synthanom.long_runs import long_run
    from synthanom.predicting import predict as predict_folder
    from synthanom.run_log import log_beside

    scoring = asked_scoring(device, memory, window, mirror=mirror)
    with long_run(log_beside(out)) as run:
        done = predict_folder(
            runs,
            given,
            out,
            device=device,
            channels=channels,
            foreground=foreground,
            allow_import=allow_import,
            scoring=scoring,
            within=within,
            dicom_seg=dicom_seg,
            track=run.progress.track,
        )
        status = exits.SKIPPED if done.skipped else exits.DONE
        words = f"{out}: {len(done.scores)} maps, {len(done.skipped)} scans skipped"
        for line in (*done.notes, *(f"skipped {path}: {reason}" for path, reason in done.skipped)):
            run.progress.note(line)
        run.end(status, words)
        log = run.log_path
    if as_json:
        skipped = [{"path": path, "reason": reason} for path, reason in done.skipped]
        answer = {"maps": str(out), "scores": done.scores, "skipped": skipped, "notes": list(done.notes)}
        exits.report(answer | {"log": log}, status)
    else:
        typer.echo(words)
    raise typer.Exit(status)


app.command()(evaluate)


@app.command()
def describe(
    data: Annotated[Path, typer.Argument(help="Folder of a data set.", show_default=False)],
    strict: Annotated[bool, typer.Option("--strict", help="Leaks are an error: status 2.")] = False,
    against: Annotated[
        list[Path] | None,
        typer.Option(help="Data set or test list that must share nothing; repeatable."),
    ] = None,
    as_json: Json = False,
    pictures: Annotated[Path | None, typer.Option(help="PNG to write: histograms.")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Read no pixels: images are not compared.")] = False,
) -> None:
    """Say what a data set holds, and what leaks between its folds or into a data set to test on."""
    from synthanom.cli.describing import print_description
    from synthanom.cli.saving import check_picture, save_picture
    from synthanom.description import describe as description_of
    from synthanom.pictures.content import describe_picture
    from synthanom.progress import shown

    if quick and (strict or pictures is not None):
        raise SynthanomError("--quick reads no pixels, which --strict and --pictures need; leave --quick out")
    if pictures is not None:
        check_picture(pictures, data)
    found = description_of(data, against or (), quick=quick, track=shown().track)
    status = exits.REFUSED if strict and found.leaks else exits.DONE
    if not as_json:
        print_description(found)
    if pictures is not None:
        save_picture(pictures, describe_picture(found))
        if not as_json:
            typer.echo(f"{pictures}: {pictures.stat().st_size // 1000} kB")
    if as_json:
        exits.report(found.to_dict(), status)
    for note in found.notes:
        typer.echo(f"note: {note}", err=True)
    for leak in found.leaks:
        typer.echo(f"{'error' if strict else 'warning'}: {leak}", err=True)
    raise typer.Exit(status)


app.command()(report)
app.command()(tables)
app.command()(merge)
app.command()(export)
app.command("export-model")(export_model)
for _command in app.registered_commands:
    _command.epilog = exits.EPILOG


def main() -> None:
    """Run the command and exit with its status."""
    exits.run(app, hints=HINTS)
