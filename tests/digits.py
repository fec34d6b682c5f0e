"""Digits of a 5 x 7 font, each written a little differently, in the files that handwritten digits come in."""

import gzip
import io
import struct
from pathlib import Path

import numpy as np

FONT = """
.###. ..#.. .###. ##### ...#. ##### ..##. ##### .###. .###.
#...# .##.. #...# ...#. ..##. #.... .#... ....# #...# #...#
#..## ..#.. ....# ..#.. .#.#. ####. #.... ...#. #...# #...#
#.#.# ..#.. ...#. ...#. #..#. ....# ####. ..#.. .###. .####
##..# ..#.. ..#.. ....# ##### ....# #...# .#... #...# ....#
#...# ..#.. .#... #...# ...#. #...# #...# .#... #...# ...#.
.###. .###. ##### .###. ...#. .###. .###. .#... .###. .##..
"""
GLYPHS = np.array([[[mark == "#" for mark in word] for word in line.split()] for line in FONT.split("\n") if line])
GLYPHS = GLYPHS.transpose(1, 0, 2)  # digit, row, column
TRAIN, TEST = 4, 3  # exemplars of each digit
SHARED = 1000  # seeds apart


def written(digit: int, seed: int) -> np.ndarray:
    """An exemplar (28, 28), uint8: dots of 2 x 2 pixels, moved and of uneven brightness."""
    rng = np.random.default_rng(SHARED * seed + digit)
    dots = np.kron(GLYPHS[digit], np.ones((2, 2), np.uint8)) * rng.integers(180, 256, (14, 10))
    picture = np.zeros((28, 28), np.uint8)
    top, left = rng.integers(6, 9), rng.integers(8, 11)
    picture[top : top + 14, left : left + 10] = dots
    return picture


def exemplars(part: str) -> np.ndarray:
    """All of a part, (10, n, 28, 28)."""
    seeds = range(TRAIN) if part == "train" else range(TRAIN, TRAIN + TEST)
    return np.array([[written(digit, seed) for seed in seeds] for digit in range(10)])


def rows(part: str) -> tuple[np.ndarray, np.ndarray]:
    """Digits and labels of a part, mixed."""
    known = exemplars(part)
    labels = np.repeat(np.arange(10, dtype=np.uint8), known.shape[1])
    order = np.random.default_rng(5).permutation(len(labels))
    return known.reshape(-1, 28, 28)[order], labels[order]


def idx(array: np.ndarray) -> bytes:
    return bytes((0, 0, 8, array.ndim)) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def write_idx(root: Path, *, dotted: bool = False, packed: bool = False) -> Path:
    root.mkdir(parents=True, exist_ok=True)
    for part, begin in (("train", "train"), ("test", "t10k")):
        for what, array in zip(("images-idx3", "labels-idx1"), rows(part), strict=True):
            name = f"{begin}-{what.replace('-', '.') if dotted else what}-ubyte"
            content = gzip.compress(idx(array)) if packed else idx(array)
            (root / f"{name}{'.gz' if packed else ''}").write_bytes(content)
    return root


def arrays() -> dict[str, np.ndarray]:
    return {f"{axis}_{part}": array for part in ("train", "test") for axis, array in zip("xy", rows(part), strict=True)}


def write_npz(root: Path, **changed: np.ndarray) -> Path:
    root.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(root / "mnist.npz", **{**arrays(), **changed})
    return root


def table(each: int = 7) -> np.ndarray:
    """Rows of 8 x 8 digits, the first grey value counting those of a digit, and their labels."""
    lines = []
    for number in range(each):
        for digit in range(10):
            small = np.zeros((8, 8), int)
            small[:7, 2:7] = GLYPHS[digit] * 16
            small[0, 0] = number
            lines.append([*small.ravel(), digit])
    return np.array(lines)


def write_table(root: Path, content: np.ndarray | str) -> Path:
    root.mkdir(parents=True, exist_ok=True)
    if not isinstance(content, str):
        text = io.StringIO()
        np.savetxt(text, content, fmt="%d", delimiter=",")
        content = text.getvalue()
    (root / "digits.csv.gz").write_bytes(gzip.compress(content.encode()))
    return root
