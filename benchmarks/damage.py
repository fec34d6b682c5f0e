"""Damage to the bytes of a file: flipped, cut off, or overwritten in the header."""

import numpy as np

HEADER = 4096  # bytes from the start in which headers are edited
EXTREMES = (0, 1, 0x7F, 0x80, 0xFF)


def damage(data: bytearray, rng: np.random.Generator) -> str:
    """Damage bytes in place; what was done."""
    change = ("flips", "truncation", "header edit")[rng.integers(3)]
    if change == "flips":
        for at in rng.integers(0, len(data), rng.integers(1, 20)):
            data[at] ^= 1 << int(rng.integers(8))
    elif change == "truncation":
        del data[int(rng.integers(len(data))) :]
    else:
        _edit(data, rng)
    return change


def _edit(data: bytearray, rng: np.random.Generator) -> None:
    """Overwrite one to four fields of one to eight bytes in the header, of DICOM often a length or a value."""
    end = min(HEADER, len(data))
    for _ in range(rng.integers(1, 5)):
        width = int(rng.choice((1, 2, 4, 8)))
        at = int(rng.integers(max(1, end - width)))
        if rng.random() < 0.5:
            data[at : at + width] = bytes([int(rng.choice(EXTREMES))]) * width
        else:
            data[at : at + width] = rng.bytes(width)
