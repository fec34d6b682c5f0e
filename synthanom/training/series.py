"""Training one run after another, and saying what came of each; imports of torch wait for the first."""

import shlex
from collections.abc import Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import typer

from synthanom import exits

if TYPE_CHECKING:
    from synthanom.progress import Progress
    from synthanom.shards import DataSet
    from synthanom.training.commands import Place
    from synthanom.training.config import TrainingConfig
    from synthanom.training.folds import Run
    from synthanom.training.run import Outcome

Device = Literal["auto", "cpu", "cuda"]
LOG = Path("logs") / "train.log"  # in the run's folder


@dataclass(frozen=True, kw_only=True)
class Machine:
    """Where a run is computed and what lies where; the result does not depend on it, but for rounding."""

    workers: int = 0
    device: Device = "auto"
    devices: int = 1
    jobs: int = 1  # runs at once
    donors: tuple[Path, ...] = ()  # where live training looks for external donors
    scheduler: str | None = None  # address of a Dask scheduler, whose workers train


@dataclass(frozen=True, kw_only=True)
class Typed:
    """What was typed, for runs that are commands of their own.

    Attributes
    ----------
    words : list of str
        The options that each of them gets.
    config : Path or None
        The file of settings among them.
    out : Path
        Where all of them lie.
    """

    words: list[str]
    config: Path | None
    out: Path


def all_runs(data: "DataSet", settings: "TrainingConfig", train_tasks: int | None) -> list[tuple[int, int]]:
    """(number of training tasks, run) of every run, or of those with `train_tasks`; all checked before the first.

    Raises
    ------
    SynthanomError
        Folds and tasks that do not go together, or a number of training tasks out of range.
    """
    from synthanom.training.folds import check_folds, runs

    check_folds(data.tasks, data.folds)
    counts = range(1, len(data.tasks)) if train_tasks is None else (train_tasks,)
    return [(count, run.number) for count in counts for run in runs(data.tasks, count, pairing=settings.pairing)]


def train_series(
    data: "DataSet",
    settings: "TrainingConfig",
    series: "Sequence[Place]",
    machine: Machine,
    typed: Typed,
    *,
    tables: bool,
    as_json: bool,
) -> None:
    """Train run after run, several at once, or on the workers of a cluster.

    Parameters
    ----------
    data : DataSet
    settings : TrainingConfig
    series : sequence of Place
    machine : Machine
    typed : Typed
    tables : bool
        Whether a summary of all is written.
    as_json : bool

    Raises
    ------
    SynthanomError
        As `synthanom.training.run.train`; one for all runs whose sides share a kind, before the first of them.
    """
    from synthanom.progress import shown
    from synthanom.training.kinds import check_kinds, kinds_of

    # before seconds of imports, and before anything is written; each run checks itself again
    check_kinds(_distinct(data, settings, series), kinds_of(data.tasks), allow_same_kind=settings.allow_same_kind)
    answers: list[dict[str, Any]] = []
    progress = shown()
    if machine.scheduler is not None:
        found = _on_cluster(data, series, machine, typed, progress)
    elif machine.jobs > 1 and len(series) > 1:
        found = _at_once(data, series, machine, typed, progress)
    else:
        found = _in_turn(data, settings, series, machine)
    with closing(found):
        for answer in found:
            answers.append(answer)
            if not as_json:
                progress.answer(_summary(answer))
    written = summarised(typed.out) if tables else []
    if as_json:
        exits.report({"runs": answers, "tables": [str(path) for path in written]})
    else:
        for path in written:
            typer.echo(str(path))


def summarised(folder: Path) -> list[Path]:
    """Write the tables of the finished runs in a folder.

    Raises
    ------
    SynthanomError
        As `synthanom.training.summary.find_trained` and `write_tables`.
    """
    from synthanom.training.summary import find_trained, write_tables

    return list(write_tables(folder, find_trained(folder)))


def list_series(
    data: "DataSet", settings: "TrainingConfig", series: "Sequence[Place]", words: list[str], *, as_json: bool
) -> None:
    """Print one command per line on stdout and nothing else there; what the runs are goes to stderr.

    Runs that would be refused have no command.

    Raises
    ------
    SynthanomError
        If all of them would be.
    """
    from synthanom.training.commands import command_line
    from synthanom.training.folds import choose_run
    from synthanom.training.kinds import check_kinds, kinds_of, refused_pairs, same_kind_pairs

    kinds, allowed = kinds_of(data.tasks), settings.allow_same_kind
    chosen = [choose_run(data.tasks, place.training_tasks, place.run, pairing=settings.pairing) for place in series]
    refused = [bool(refused_pairs(run, kinds, allow_same_kind=allowed)) for run in chosen]
    if all(refused):
        check_kinds(_distinct(data, settings, series), kinds, allow_same_kind=allowed)
    lines = [None if no else command_line(data.folder, p, words) for p, no in zip(series, refused, strict=True)]
    alike = [same_kind_pairs(run, kinds) for run in chosen]
    if as_json:
        rows = [
            {"training_tasks": place.training_tasks, **asdict(run), "same_kind": pairs, "refused": no, "command": line}
            for place, run, pairs, no, line in zip(series, chosen, alike, refused, lines, strict=True)
        ]
        for row in rows:
            row["run"] = row.pop("number")
        exits.report({"runs": rows})
        return
    typer.echo("train-tasks\trun\ttrain on\tfolds\tvalidate on\tfolds\tof one kind", err=True)
    for place, run, pairs, no in zip(series, chosen, alike, refused, strict=True):
        sides = [",".join(run.train_tasks), _numbers(run.train_folds)]
        sides += [",".join(run.validation_tasks), _numbers(run.validation_folds)]
        sides.append(("refused: " if no else "") + ",".join("=".join(pair) for pair in pairs))
        typer.echo("\t".join([str(place.training_tasks), str(place.run), *sides]).rstrip("\t"), err=True)
    for line in lines:
        if line is not None:
            typer.echo(line)


def _distinct(data: "DataSet", settings: "TrainingConfig", series: "Sequence[Place]") -> "list[Run]":
    """The runs of a series, each once however many seeds it has.

    Raises
    ------
    SynthanomError
        Folds and tasks that do not go together, or no such run.
    """
    from synthanom.training.folds import check_folds, choose_run

    check_folds(data.tasks, data.folds)
    wanted = dict.fromkeys((place.training_tasks, place.run) for place in series)
    return [choose_run(data.tasks, count, number, pairing=settings.pairing) for count, number in wanted]


def _in_turn(
    data: "DataSet", settings: "TrainingConfig", series: "Sequence[Place]", machine: Machine
) -> Generator[dict[str, Any], None, None]:
    for place in series:
        seeded = settings if place.seed is None else settings.model_copy(update={"seed": place.seed})
        outcome = _train(data, seeded, place, machine)
        yield _answer(place, seeded.seed, outcome)


def _at_once(
    data: "DataSet", series: "Sequence[Place]", machine: Machine, typed: Typed, progress: "Progress"
) -> Generator[dict[str, Any], None, None]:
    from synthanom.training.commands import command_line
    from synthanom.training.jobs import run_at_once, visible_gpus

    gpus = 0 if machine.device == "cpu" else len(visible_gpus())
    commands = [shlex.split(command_line(data.folder, place, typed.words))[1:] for place in series]
    with closing(run_at_once(commands, machine.jobs, gpus)) as answers:
        yield from progress.track("runs", answers, len(series), unit="runs")


def _on_cluster(
    data: "DataSet", series: "Sequence[Place]", machine: Machine, typed: Typed, progress: "Progress"
) -> Generator[dict[str, Any], None, None]:
    from synthanom.cluster.attendance import without_dask
    from synthanom.training.admission import Needs
    from synthanom.training.commands import command_line
    from synthanom.training.orders import Order

    try:
        from synthanom.training.cluster_runs import train_on_cluster
    except ImportError as error:
        raise without_dask(error) from error
    folder = data.folder.resolve()
    orders = []
    for place in series:  # workers run in other folders than this process
        line = command_line(folder, replace(place, folder=place.folder.resolve()), typed.words)
        orders.append(Order(name=place.folder, words=tuple(shlex.split(line)[1:])))
    digest = str(data.manifest.to_dict()["digest"])
    needs = Needs(data=folder, digest=digest, settings=typed.config, out=typed.out.resolve())
    with closing(train_on_cluster(str(machine.scheduler), orders, needs, progress.tell)) as answers:
        yield from progress.track("runs", answers, len(series), unit="runs")


def _train(data: "DataSet", settings: "TrainingConfig", place: "Place", machine: Machine) -> "Outcome":
    from synthanom.long_runs import long_run
    from synthanom.progress import on_terminal
    from synthanom.training.run import train

    with long_run(place.folder.resolve() / LOG) as long:
        outcome = train(
            data,
            place.folder,
            config=settings,
            train_tasks=place.training_tasks,
            run=place.run,
            workers=machine.workers,
            device=machine.device,
            devices=machine.devices,
            donors=machine.donors,
            # lines while it runs are for people: none in a file or a pipe
            report=long.progress.note if on_terminal() else long.progress.record,
            progress=long.progress,
        )
        long.end(exits.DONE, _summary(_answer(place, settings.seed, outcome)), wrote=outcome.trained)
    return outcome


def _answer(place: "Place", seed: int, outcome: "Outcome") -> dict[str, Any]:
    """What came of a run, as JSON."""
    about = {"training_tasks": place.training_tasks, "run": place.run, "seed": seed}
    return {**about, **asdict(outcome), "folder": str(outcome.folder)}


def _summary(answer: Mapping[str, Any]) -> str:
    state = "trained" if answer["trained"] else "already finished"
    why = "patience ran out" if answer["reason"] == "patience" else "all epochs done"
    return (
        f"{answer['folder']}: {state}, {answer['epochs']} epochs ({why}), best validation loss "
        f"{answer['best_loss']:.5f} in epoch {answer['best_epoch']}; model in {Path(answer['folder']) / 'best'}"
    )


def _numbers(values: tuple[int, ...]) -> str:
    return ",".join(str(v) for v in values)
