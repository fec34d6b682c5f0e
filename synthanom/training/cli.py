"""The command `synthanom-train`. Heavy imports wait until there is something to train."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

import typer

from synthanom import exits
from synthanom.errors import SynthanomError
from synthanom.training.series import Device, Machine, Typed, all_runs, list_series, summarised, train_series

app = typer.Typer(pretty_exceptions_enable=False)


@app.command(epilog=exits.EPILOG)
def train(
    dataset: Annotated[Path, typer.Argument(help="Folder that build-dataset wrote.", show_default=False)],
    out: Annotated[Path | None, typer.Option(help="Run folder; with --all, one folder per run is made in it.")] = None,
    train_tasks: Annotated[int | None, typer.Option(help="How many tasks to train on; 1 unless --all.")] = None,
    run: Annotated[int | None, typer.Option(help="Which run with so many training tasks; --list shows them.")] = None,
    config: Annotated[
        Path | None, typer.Option(help="YAML settings, or a name such as cpu_small; else the paper's.")
    ] = None,
    detector: Annotated[
        Literal["multitask", "autoencoder"] | None, typer.Option(help="Which method; multitask without it.")
    ] = None,
    every_run: Annotated[bool, typer.Option("--all", help="Train every run, or every run with --train-tasks.")] = False,
    list_runs: Annotated[
        bool, typer.Option("--list", help="Print the command of every run, or every run with --train-tasks.")
    ] = False,
    summarise: Annotated[
        bool, typer.Option("--summarise", help="Write the tables of the finished runs in --out; train nothing.")
    ] = False,
    seed: Annotated[int | None, typer.Option(help="Seed of weights and order.")] = None,
    seeds: Annotated[
        int, typer.Option(help="Train with so many seeds, from --seed on, each in a folder of its own.", min=1)
    ] = 1,
    donors: Annotated[
        list[Path] | None,
        typer.Option(help="Of --live: data set to find external donors in, by their digests; repeatable."),
    ] = None,
    live: Annotated[bool, typer.Option("--live", help="Make anomalies while training, do not read them.")] = False,
    epochs: Annotated[int | None, typer.Option(help="At most so many epochs.")] = None,
    pairing: Annotated[
        Literal["crossed", "full"] | None, typer.Option(help="full: every choice of tasks once per fold.")
    ] = None,
    allow_same_kind: Annotated[
        bool, typer.Option("--allow-same-kind", help="Let a further task validate on its own kind.")
    ] = False,
    workers: Annotated[
        int, typer.Option(help="Processes that read pictures; --live on a GPU needs none to train.", min=0)
    ] = 0,
    device: Annotated[Device, typer.Option(help="Where to compute.")] = "auto",
    devices: Annotated[int, typer.Option(help="So many GPUs, or processes on the CPU, share every batch.", min=1)] = 1,
    jobs: Annotated[
        int, typer.Option(help="So many runs at once, each on a GPU of its own where there are GPUs.", min=1)
    ] = 1,
    scheduler: Annotated[
        str | None, typer.Option(help="Train on the workers of the Dask scheduler at this address, each run on one.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """Train detectors on a data set, validated on kinds of anomaly they never saw.

    An interrupted run goes on when the same command is given again.
    """
    from synthanom.shards import DataSet
    from synthanom.training.commands import RUNS, given_options, places
    from synthanom.training.config import load_config
    from synthanom.training.presets import config_file

    overrides = {"seed": seed, "epochs": epochs, "pairing": pairing, "detector": detector}
    overrides |= {"live": live or None, "allow_same_kind": allow_same_kind or None}
    if run is not None and every_run:
        raise SynthanomError(f"--all trains every run, got --run {run} too; leave one of them out")
    if scheduler is not None:
        _refuse_beside_scheduler({"--list": list_runs, "--summarise": summarise, "--jobs": jobs > 1})
        # workers run in other folders
        config = None if config is None else config_file(config).resolve()
        donors = None if donors is None else [folder.resolve() for folder in donors]
    with DataSet.open(dataset) as data:
        settings = load_config(None if config is None else config_file(config), data.shape, overrides)
        if out is None and not list_runs:
            raise SynthanomError("training needs a folder to write into; name one with --out")
        if summarise and out is not None:
            written = [str(path) for path in summarised(out)]
            if as_json:
                exits.report({"tables": written})
            else:
                typer.echo("\n".join(written))
            return
        several = run is None and (every_run or list_runs)
        one = [(1 if train_tasks is None else train_tasks, run or 0)]
        found = all_runs(data, settings, train_tasks) if several else one
        series = places(out or RUNS, found, seed=settings.seed, seeds=seeds, single=not several)
        words = given_options(
            {
                "--config": config,
                "--detector": detector,
                "--seed": seed if seeds == 1 else None,
                "--live": live,
                "--donors": donors,
                "--epochs": epochs,
                "--pairing": pairing,
                "--allow-same-kind": allow_same_kind,
                "--workers": workers or None,
                "--device": None if device == "auto" else device,
                "--devices": None if devices == 1 else devices,
            }
        )
        if list_runs:
            list_series(data, settings, series, words, as_json=as_json)
            return
        machine = Machine(
            workers=workers,
            device=device,
            devices=devices,
            jobs=jobs,
            donors=tuple(donors or ()),
            scheduler=scheduler,
        )
        if jobs > 1 and devices > 1:
            raise SynthanomError(f"--jobs {jobs} gives each run one GPU, --devices {devices} several; use one of them")
        typed = Typed(words=words, config=config, out=out or RUNS)
        train_series(data, settings, series, machine, typed, tables=every_run or seeds > 1, as_json=as_json)


def _refuse_beside_scheduler(given: Mapping[str, bool]) -> None:
    reasons = {
        "--list": "prints commands, and trains nothing",
        "--summarise": "reads what is finished, and trains nothing",
        "--jobs": "counts runs at once on this machine; a cluster trains one on each of its workers",
    }
    for option, reason in reasons.items():
        if given[option]:
            raise SynthanomError(f"{option} {reason}, got --scheduler too; leave one of them out")


def main() -> None:
    """Run the command and exit with its status."""
    exits.run(app, resume_hint="run the same command again: it continues from the last finished epoch")


if __name__ == "__main__":
    main()
