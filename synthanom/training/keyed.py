"""Choices that depend on names alone: the same for any order, number of workers or restart."""

import hashlib

from synthanom.arrays import canonical_json


def keyed_number(seed: int, *names: str | int) -> int:
    """A number in [0, 2^63) for these names, spread evenly."""
    digest = hashlib.sha256(canonical_json(["synthanom-train", 1, seed, *names])).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def keyed_fraction(seed: int, *names: str | int) -> float:
    """A number in [0, 1) for these names, spread evenly."""
    return keyed_number(seed, *names) / 2**63
