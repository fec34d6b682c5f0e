"""Kinds of tasks on the two sides of a run: validation is honest only on kinds that training never showed."""

from collections.abc import Iterable, Mapping, Sequence

from synthanom.errors import SynthanomError
from synthanom.training.folds import Run

FLAG = "--allow-same-kind"

Pair = tuple[str, str]


def kinds_of(tasks: Sequence[str]) -> dict[str, str]:
    """Kind of each of the tasks that this version knows."""
    from synthanom.tasks import TASKS

    return {name: TASKS[name].kind for name in tasks if name in TASKS}


def same_kind_pairs(run: Run, kinds: Mapping[str, str]) -> tuple[Pair, ...]:
    """Pairs (training task, validation task) of one kind; a task without a known kind is one of its own."""
    return tuple(
        (train, validation)
        for train in run.train_tasks
        for validation in run.validation_tasks
        if kinds.get(train, train) == kinds.get(validation, validation)
    )


def refused_pairs(run: Run, kinds: Mapping[str, str], *, allow_same_kind: bool = False) -> tuple[Pair, ...]:
    """Those of `same_kind_pairs` for which a run is refused: with a task beyond the paper's five in them.

    Among the five, one kind on both sides is the protocol.
    """
    from synthanom.tasks import PAPER_TASKS

    if allow_same_kind:
        return ()
    return tuple(pair for pair in same_kind_pairs(run, kinds) if not set(pair) <= set(PAPER_TASKS))


def check_kinds(runs: Sequence[Run], kinds: Mapping[str, str], *, allow_same_kind: bool = False) -> None:
    """Raise if a task beyond the paper's five shares its kind with a task on the other side of a run.

    Parameters
    ----------
    runs : sequence of Run
        All that are going to be trained.
    kinds : mapping of str to str
        Task -> kind.
    allow_same_kind : bool
        Let it pass.

    Raises
    ------
    SynthanomError
        One for all the runs, naming each of them.
    """
    refused = {run: refused_pairs(run, kinds, allow_same_kind=allow_same_kind) for run in runs}
    refused = {run: pairs for run, pairs in refused.items() if pairs}
    if not refused:
        return
    ways = f"build the data set with other --tasks, or allow it with {FLAG}"
    if len(runs) == 1:
        ((run, ((train, validation), *_)),) = refused.items()
        raise SynthanomError(
            f"run {run.number} with {_training_tasks(len(run.train_tasks))} trains on {train} and validates on "
            f"{validation}, both of kind {kinds.get(train, train)!r}, so that its validation would flatter; choose "
            f"another run (--list shows them), {ways}"
        )
    raise SynthanomError(
        f"{len(refused)} of {len(runs)} runs train on a task and validate on another of its kind "
        f"({_by_kind(refused.values(), kinds)}), so that their validation would flatter: {_numbers(list(refused))}; "
        f"train the others by the commands of --list, {ways}"
    )


def _training_tasks(count: int) -> str:
    return f"{count} training task{'s' if count > 1 else ''}"


def _by_kind(pairs: Iterable[Sequence[Pair]], kinds: Mapping[str, str]) -> str:
    """The tasks in some pairs, kind by kind: ``blend: intra_blend, nsa``."""
    found: dict[str, set[str]] = {}
    for pair in (pair for own in pairs for pair in own):
        found.setdefault(kinds.get(pair[0], pair[0]), set()).update(pair)
    return "; ".join(f"{kind}: {', '.join(sorted(tasks))}" for kind, tasks in sorted(found.items()))


def _numbers(runs: Sequence[Run]) -> str:
    """The runs by their numbers: ``with 1 training task 0, 2-4, with 2 training tasks 1``."""
    by_count: dict[int, list[int]] = {}
    for run in runs:
        by_count.setdefault(len(run.train_tasks), []).append(run.number)
    return ", ".join(f"with {_training_tasks(count)} {_stretches(numbers)}" for count, numbers in by_count.items())


def _stretches(numbers: Sequence[int]) -> str:
    """Ascending numbers, neighbours drawn together: ``0, 2-4``."""
    found: list[list[int]] = []
    for number in numbers:
        if found and number == found[-1][-1] + 1:
            found[-1].append(number)
        else:
            found.append([number])
    return ", ".join(f"{own[0]}-{own[-1]}" if len(own) > 1 else str(own[0]) for own in found)
