"""Dealing subjects into folds: by stable hash and seed, balanced, the same wherever it runs."""

import hashlib
from collections.abc import Iterable

from synthanom.arrays import canonical_json
from synthanom.errors import SynthanomError


def deal(subjects: Iterable[str], folds: int, seed: int) -> dict[str, int]:
    """Deal the distinct `subjects` into `folds` folds whose sizes differ by one at most.

    The order of `subjects` does not matter.

    Raises
    ------
    SynthanomError
        If there are fewer distinct subjects than folds, or fewer than one fold.
    """
    distinct = set(subjects)
    if folds < 1:
        raise SynthanomError(f"the number of folds must be at least 1, got {folds}")
    if len(distinct) < folds:
        raise SynthanomError(
            f"{folds} folds need at least {folds} subjects, got {len(distinct)}; "
            "add scans of other subjects, name the subjects with --subjects, or ask for fewer tasks and folds"
        )
    order = sorted(distinct, key=lambda subject: _rank(seed, subject))
    return {subject: place % folds for place, subject in enumerate(order)}


def _rank(seed: int, subject: str) -> bytes:
    return hashlib.sha256(canonical_json(["synthanom-folds", 1, seed, subject])).digest()
