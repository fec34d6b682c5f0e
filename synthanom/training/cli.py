"""The command `synthanom-train`. Heavy imports wait until there is something to train."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from synthanom import exits
from synthanom.errors import SynthanomError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from synthanom.shards import DataSet
    from synthanom.training.commands import Place
    from synthanom.training.config import TrainingConfig
    from synthanom.training.run import Outcome

Device = Literal["auto", "cpu", "cuda"]
LOG = Path("logs") / "train.log"  # in the run's folder

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def train(
    dataset: Annotated[Path, typer.Argument(help="Folder that build-dataset wrote.", show_default=False)],
    out: Annotated[Path | None, typer.Option(help="Run folder; with --all, one folder per run is made in it.")] = None,
    train_tasks: Annotated[int | None, typer.Option(help="How many tasks to train on; 1 unless --all.")] = None,
    run: Annotated[int | None, typer.Option(help="Which run with so many training tasks; --list shows them.")] = None,
    config: Annotated[Path | None, typer.Option(help="YAML settings; the paper's without it.")] = None,
    all_runs: Annotated[bool, typer.Option("--all", help="Train every run, or every run with --train-tasks.")] = False,
    list_runs: Annotated[
        bool, typer.Option("--list", help="Print the command of every run, or every run with --train-tasks.")
    ] = False,
    seed: Annotated[int | None, typer.Option(help="Seed of weights and order.")] = None,
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
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """Train detectors on a data set, validated on kinds of anomaly they never saw.

    An interrupted run goes on when the same command is given again.
    """
    from synthanom.shards import DataSet
    from synthanom.training.commands import RUNS, given_options, places
    from synthanom.training.config import load_config

    overrides = {"seed": seed, "epochs": epochs, "pairing": pairing}
    overrides |= {"live": live or None, "allow_same_kind": allow_same_kind or None}
    several = all_runs or list_runs
    with DataSet.open(dataset) as data:
        settings = load_config(config, data.shape, overrides)
        if run is not None and all_runs:
            raise SynthanomError(f"--all trains every run, got --run {run} too; leave one of them out")
        if out is None and not list_runs:
            raise SynthanomError("training needs a folder to write into; name one with --out")
        one = [(1 if train_tasks is None else train_tasks, run or 0)]
        found = _all_runs(data, settings, train_tasks) if several and run is None else one
        series = places(out or RUNS, found, seed=settings.seed, seeds=1, single=not several)
        if list_runs:
            words = given_options(
                {
                    "--config": config,
                    "--seed": seed,
                    "--live": live,
                    "--epochs": epochs,
                    "--pairing": pairing,
                    "--allow-same-kind": allow_same_kind,
                    "--workers": workers or None,
                    "--device": None if device == "auto" else device,
                }
            )
            _list(data, settings, series, words, as_json=as_json)
        else:
            _train_all(data, settings, series, workers=workers, device=device, as_json=as_json)


def _train_all(
    data: "DataSet",
    settings: "TrainingConfig",
    series: "Sequence[Place]",
    *,
    workers: int,
    device: Device,
    as_json: bool,
) -> None:
    """Train run after run, and say what came of each."""
    answers = []
    for place in series:
        which, out = (place.training_tasks, place.run), place.folder
        outcome = _train(data, out, settings, which, workers, device)
        answers.append({"training_tasks": which[0], "run": which[1], **asdict(outcome), "folder": str(outcome.folder)})
        if not as_json:
            typer.echo(_summary(outcome))
    if as_json:
        exits.report({"runs": answers})


def _train(
    data: "DataSet", out: Path, settings: "TrainingConfig", which: tuple[int, int], workers: int, device: Device
) -> "Outcome":
    from synthanom.training.folds import check_folds, choose_run

    # again in train; here a wrong number is refused before seconds of imports
    check_folds(data.tasks, data.folds)
    choose_run(data.tasks, *which, pairing=settings.pairing)
    from synthanom.long_runs import long_run
    from synthanom.progress import on_terminal
    from synthanom.training.run import train as train_run

    with long_run(out.resolve() / LOG) as long:
        outcome = train_run(
            data,
            out,
            config=settings,
            train_tasks=which[0],
            run=which[1],
            workers=workers,
            device=device,
            # lines while it runs are for people: none in a file or a pipe
            report=long.progress.note if on_terminal() else long.progress.record,
            progress=long.progress,
        )
        long.end(exits.DONE, _summary(outcome), wrote=outcome.trained)
    return outcome


def _summary(outcome: "Outcome") -> str:
    state = "trained" if outcome.trained else "already finished"
    why = "patience ran out" if outcome.reason == "patience" else "all epochs done"
    return (
        f"{outcome.folder}: {state}, {outcome.epochs} epochs ({why}), best validation loss {outcome.best_loss:.5f} in "
        f"epoch {outcome.best_epoch}; model in {outcome.folder / 'best'}"
    )


def _all_runs(data: "DataSet", settings: "TrainingConfig", train_tasks: int | None) -> list[tuple[int, int]]:
    """(number of training tasks, run) of every run, or of those with `train_tasks`; all checked before the first."""
    from synthanom.training.folds import check_folds, runs

    check_folds(data.tasks, data.folds)
    counts = range(1, len(data.tasks)) if train_tasks is None else (train_tasks,)
    return [(count, run.number) for count in counts for run in runs(data.tasks, count, pairing=settings.pairing)]


def _list(
    data: "DataSet", settings: "TrainingConfig", series: "Sequence[Place]", words: list[str], *, as_json: bool
) -> None:
    """Print one command per line on stdout and nothing else there; what the runs are goes to stderr."""
    from synthanom.training.commands import command_line
    from synthanom.training.folds import choose_run

    chosen = [choose_run(data.tasks, place.training_tasks, place.run, pairing=settings.pairing) for place in series]
    lines = [command_line(data.folder, place, words) for place in series]
    if as_json:
        rows = [
            {"training_tasks": place.training_tasks, "run": place.run, **asdict(run), "command": line}
            for place, run, line in zip(series, chosen, lines, strict=True)
        ]
        exits.report({"runs": [{name: value for name, value in row.items() if name != "number"} for row in rows]})
        return
    typer.echo("train-tasks\trun\ttrain on\tfolds\tvalidate on\tfolds", err=True)
    for place, run in zip(series, chosen, strict=True):
        sides = [",".join(run.train_tasks), _numbers(run.train_folds)]
        sides += [",".join(run.validation_tasks), _numbers(run.validation_folds)]
        typer.echo("\t".join([str(place.training_tasks), str(place.run), *sides]), err=True)
    for line in lines:
        typer.echo(line)


def _numbers(values: tuple[int, ...]) -> str:
    return ",".join(str(v) for v in values)


def main() -> None:
    """Run the command and exit with its status."""
    exits.run(app, resume_hint="run the same command again: it continues from the last finished epoch")
