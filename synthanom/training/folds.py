"""Which tasks and folds a run trains and validates on: task k goes with fold k, and no side sees the other's."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from math import comb
from typing import Any, Literal, get_args

from synthanom.errors import SynthanomError
from synthanom.nearest import meant

Pairing = Literal["crossed", "full"]


@dataclass(frozen=True, kw_only=True)
class Run:
    """One model's share of tasks and folds.

    Attributes
    ----------
    number : int
        Among the runs with as many training tasks, from 0.
    train_tasks, validation_tasks : tuple of str
        Stored names.
    train_folds, validation_folds : tuple of int
    """

    number: int
    train_tasks: tuple[str, ...]
    validation_tasks: tuple[str, ...]
    train_folds: tuple[int, ...]
    validation_folds: tuple[int, ...]

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}


def runs(tasks: Sequence[str], train_tasks: int, *, pairing: Pairing = "crossed") -> tuple[Run, ...]:
    """All runs that train on `train_tasks` of the `tasks`, in lexicographic order of the chosen tasks.

    Parameters
    ----------
    tasks : sequence of str
        Their order pairs them with folds.
    train_tasks : int
        From 1 to one less than there are tasks.
    pairing : str
        ``"crossed"``: the folds of the side with more tasks are the training data, the others the validation data
        (with as many tasks on both sides, the validation tasks' folds are the training data, as with fewer training
        tasks). ``"full"``: tasks and folds are independent; every choice of tasks is run once per fold, which
        validates while the others train.

    Raises
    ------
    SynthanomError
        Fewer than two tasks, or a number of training tasks that leaves none to one side.

    References
    ----------
    Baugh et al., Many tasks make light work, MICCAI 2023.
    """
    count = len(tasks)
    if count < 2:
        raise SynthanomError(
            f"training needs at least 2 tasks, one to train and one to validate on, got {count}; "
            "build the data set with more tasks"
        )
    if not 1 <= train_tasks < count:
        raise SynthanomError(
            f"the number of training tasks must be 1 to {count - 1} of the {count} in the data set, got {train_tasks}"
        )
    if pairing not in get_args(Pairing):
        known = get_args(Pairing)
        raise SynthanomError(f"pairing must be one of {known}, got {pairing!r}{meant(pairing, known)}")
    found: list[Run] = []
    for chosen in combinations(range(count), train_tasks):
        others = tuple(k for k in range(count) if k not in chosen)
        for train_folds, validation_folds in _folds(chosen, others, pairing):
            found.append(
                Run(
                    number=len(found),
                    train_tasks=tuple(tasks[k] for k in chosen),
                    validation_tasks=tuple(tasks[k] for k in others),
                    train_folds=train_folds,
                    validation_folds=validation_folds,
                )
            )
    return tuple(found)


def choose_run(tasks: Sequence[str], train_tasks: int, number: int, *, pairing: Pairing = "crossed") -> Run:
    """Run `number` of `runs`.

    Raises
    ------
    SynthanomError
        As `runs`, or if there is no such run.
    """
    every = runs(tasks, train_tasks, pairing=pairing)
    if not 0 <= number < len(every):
        raise SynthanomError(
            f"run must be 0 to {len(every) - 1} with {train_tasks} of {len(tasks)} training tasks, got {number}; "
            "--list shows them"
        )
    return every[number]


def check_folds(tasks: Sequence[str], folds: Mapping[str, int]) -> None:
    """Raise unless there are as many folds as tasks and every fold has a subject.

    Raises
    ------
    SynthanomError
    """
    held = set(folds.values())
    if not held:
        raise SynthanomError("training needs subjects dealt into folds, got none; build the data set again")
    stored = max(held) + 1
    if stored != len(tasks):
        raise SynthanomError(
            f"the data set must have as many folds as tasks, got {stored} folds and {len(tasks)} tasks "
            f"({', '.join(tasks)}); build it with --folds {len(tasks)}, or with {stored} tasks"
        )
    empty = sorted(set(range(stored)) - held)
    if empty:
        raise SynthanomError(
            f"every fold needs at least one subject, got none in fold {empty[0]}; "
            "build with more subjects, or with fewer tasks and folds"
        )


def run_count(tasks: int, *, pairing: Pairing = "crossed") -> int:
    """Number of models over all numbers of training tasks: 30 for five tasks."""
    choices = sum(comb(tasks, k) for k in range(1, tasks))
    return choices * (tasks if pairing == "full" else 1)


def _folds(
    chosen: tuple[int, ...], others: tuple[int, ...], pairing: Pairing
) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
    """(training folds, validation folds) of one choice of training tasks."""
    if pairing == "full":
        every = sorted((*chosen, *others))
        return [(tuple(f for f in every if f != held_out), (held_out,)) for held_out in every]
    return [(chosen, others)] if len(chosen) > len(others) else [(others, chosen)]
