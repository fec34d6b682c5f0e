"""The command `synthanom export`."""

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from synthanom import exits
from synthanom.completion import listed_task_names
from synthanom.errors import SynthanomError

NONE = "none"


def export(
    data: Annotated[Path, typer.Argument(help="Folder of a data set.", show_default=False)],
    out: Annotated[Path, typer.Option(help="Folder to write, new or empty.", show_default=False)],
    form: Annotated[
        Literal["hdf5", "nifti"], typer.Option("--format", help="One file per task, or files for each picture.")
    ] = "hdf5",
    tasks: Annotated[
        str | None,
        typer.Option(
            help="Tasks, separated by commas, or none for healthy rows alone; all without it.",
            autocompletion=listed_task_names,
        ),
    ] = None,
    folds: Annotated[str | None, typer.Option(help="Numbers of folds, separated by commas; all without it.")] = None,
    variants: Annotated[
        int | None, typer.Option(help="Only the first so many variants of every image and task.", min=1)
    ] = None,
    limit: Annotated[int | None, typer.Option(help="At most so many rows of each task.", min=1)] = None,
    healthy: Annotated[bool, typer.Option("--healthy/--no-healthy", help="Whether healthy rows are written.")] = True,
    codec: Annotated[Literal["gzip", "none"], typer.Option(help="Compression of HDF5.")] = "gzip",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be written, and write nothing.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object, and nothing else, to stdout.")
    ] = False,
) -> None:
    """Write pictures and labels as plain arrays: HDF5 without plugins, or NIfTI."""
    from synthanom.exporting import Selection, planned
    from synthanom.exporting import export as export_rows
    from synthanom.exporting.export import room_line
    from synthanom.exporting.room import size_text
    from synthanom.long_runs import long_run
    from synthanom.run_log import log_beside

    chosen = Selection(tasks=_tasks(tasks), folds=_folds(folds), variants=variants, limit=limit, healthy=healthy)
    if dry_run:
        plan, free = planned(data, out, form, selection=chosen, codec=codec)
        assert plan.room is not None
        if as_json:
            content = {"out": str(out), "format": form, "dry_run": True, "rows": dict(plan.rows)}
            exits.report({**content, "bytes": plan.room.needed, "plain_bytes": plan.room.plain, "free_bytes": free})
        else:
            typer.echo(room_line(sum(plan.rows.values()), plan.room, free))
        return
    with long_run(log_beside(out)) as run:
        done = export_rows(
            data, out, form, selection=chosen, codec=codec, track=run.progress.track, note=run.progress.note
        )
        counts = ", ".join(f"{count} {name}" for name, count in done.rows.items())
        words = f"{out}: {counts} rows, {size_text(done.bytes or 0)}"
        words += "; finished already, nothing was written" if done.already else ""
        words += f"; {done.kept} of them were there" if done.kept else ""
        run.end(exits.DONE, words, wrote=not done.already)
        log = run.log_path
    if as_json:
        answer: dict[str, Any] = {"out": str(out), "format": form, "already": done.already, "rows": dict(done.rows)}
        exits.report({**answer, "bytes": done.bytes, "kept": done.kept, "log": log})
    else:
        typer.echo(words)


def _tasks(given: str | None) -> tuple[str, ...] | None:
    if given is None:
        return None
    return () if given.strip() == NONE else tuple(name.strip() for name in given.split(","))


def _folds(given: str | None) -> tuple[int, ...] | None:
    if given is None:
        return None
    try:
        return tuple(int(number) for number in given.split(","))
    except ValueError as error:
        raise SynthanomError(f"--folds must be numbers separated by commas, got {given!r}") from error
