"""The command `synthanom merge`."""

from pathlib import Path
from typing import Annotated

import typer

from synthanom import exits

SHOWN = 5  # skipped rows that are printed; the rest is in skipped.csv


def merge(
    folders: Annotated[
        list[Path],
        typer.Argument(
            help="One folder that all parts shared, one for each, or finished data sets.", show_default=False
        ),
    ],
    out: Annotated[
        Path | None, typer.Option(help="Folder of the merged data set; the folder itself if it is the only one.")
    ] = None,
    mixed: Annotated[
        bool,
        typer.Option("--mixed-fingerprints", help="Take what other libraries or processors made: within 1e-4."),
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object, and nothing else, to stdout.")
    ] = False,
) -> None:
    """Finish a build that was made in parts, or join finished data sets into one."""
    from synthanom.joining import join, joinable
    from synthanom.long_runs import long_run
    from synthanom.run_log import log_beside
    from synthanom.unfinished.merging import merge_parts

    target = folders[0] if out is None else out
    with long_run(log_beside(target), announce=True) as run:
        chosen = join if joinable(folders, out) else merge_parts
        done = chosen(folders, out, mixed=mixed, track=run.progress.track)
        for row in done.skipped[:SHOWN]:
            run.progress.tell(f"skipped {row.path} ({row.stage}): {row.reason}")
        if len(done.skipped) > SHOWN:
            run.progress.tell(f"skipped {len(done.skipped)} in all, see {done.folder / 'skipped.csv'}")
        counts = done.manifest.counts
        found = f"{counts['healthy']} healthy images, {counts['anomalies']} anomalies"
        words = f"{done.folder}: {found}" + ("; finished already, nothing was written" if done.already else "")
        status = exits.SKIPPED if done.skipped else exits.DONE
        run.end(status, words, wrote=not done.already)
        if as_json:
            content = {"data": str(done.folder), "already": done.already, "counts": dict(counts)}
            exits.report({**content, "skipped": len(done.skipped)}, status)
        else:
            typer.echo(words)
    if status != exits.DONE:
        raise typer.Exit(status)
