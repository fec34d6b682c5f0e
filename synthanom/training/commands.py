"""The runs of the protocol as command lines, for job schedulers."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

RUNS = Path("runs")  # where listed commands write unless --out says otherwise
PROGRAM = "synthanom-train"


@dataclass(frozen=True, kw_only=True)
class Place:
    """One training of a series: which run, with which seed, into which folder.

    Attributes
    ----------
    training_tasks, run : int
    seed : int or None
        None: the seed of the settings.
    folder : Path
    """

    training_tasks: int
    run: int
    seed: int | None
    folder: Path


def run_folder(out: Path, training_tasks: int, run: int) -> Path:
    """Where a run of a series is trained."""
    return out / f"tasks-{training_tasks}-run-{run}"


def seeded(out: Path, seed: int) -> Path:
    """The folder of one of several seeds."""
    return out / f"seed-{seed}"


def places(out: Path, runs: Sequence[tuple[int, int]], *, seed: int, seeds: int, single: bool = False) -> list[Place]:
    """Every training of a series, seed after seed.

    Parameters
    ----------
    out : Path
    runs : sequence of (number of training tasks, run)
    seed : int
        The first one.
    seeds : int
        How many; with one there is no folder per seed.
    single : bool
        The only run is trained in the folder itself, without one of its own.
    """
    found = []
    for number in range(seed, seed + seeds):
        above = out if seeds == 1 else seeded(out, number)
        found += [
            Place(
                training_tasks=tasks,
                run=run,
                seed=None if seeds == 1 else number,
                folder=above if single else run_folder(above, tasks, run),
            )
            for tasks, run in runs
        ]
    return found


def command_line(dataset: Path, place: Place, options: Sequence[str]) -> str:
    """The complete command of one training, as a shell reads it.

    Parameters
    ----------
    dataset : Path
    place : Place
    options : sequence of str
        Further words, as typed.
    """
    words = [PROGRAM, str(dataset), "--train-tasks", str(place.training_tasks), "--run", str(place.run)]
    words += ["--out", str(place.folder)]
    words += [] if place.seed is None else ["--seed", str(place.seed)]
    return shlex.join([*words, *options])


def given_options(values: Mapping[str, str | int | bool | Path | Sequence[Path] | None]) -> list[str]:
    """The words of the options that were given: those that are not None or False.

    Parameters
    ----------
    values : mapping
        Option -> value; True for an option without a value, paths for one that is repeated.
    """
    words: list[str] = []
    for option, value in values.items():
        if value is None or value is False:
            continue
        if value is True:
            words.append(option)
        elif isinstance(value, Sequence) and not isinstance(value, str):
            words += [word for path in value for word in (option, str(path))]
        else:
            words += [option, str(value)]
    return words
