"""Boxes that an annotator or a detector drew: text files in YOLO's way, a line for each box."""

import re
from dataclasses import dataclass
from pathlib import Path

from synthanom.errors import SynthanomError

LINE = "class x y width height [confidence]"


@dataclass(frozen=True, kw_only=True)
class Box:
    """A box, in fractions of the image.

    Attributes
    ----------
    corners : tuple of 4 floats
        Left, top, right, bottom; what would lie outside of the image is cut off.
    confidence : float or None
        None where the annotator gave none.
    """

    corners: tuple[float, float, float, float]
    confidence: float | None


def read_boxes(path: Path) -> list[Box]:
    """The boxes of a file, the most confident first, then those without confidence as they stand; none if it is empty.

    Raises
    ------
    SynthanomError
        If it cannot be read, or a line is no box: it names the line.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeError) as error:
        raise SynthanomError(f"{path}: must be a readable text file of boxes: {error}; correct or remove it") from error
    boxes = [_box(line.split(), path, number) for number, line in enumerate(lines, start=1) if line.strip()]
    return sorted(boxes, key=lambda box: -1.0 if box.confidence is None else box.confidence, reverse=True)


def columns_of(boxes: list[Box]) -> dict[str, str]:
    """The boxes as the columns `box` ("x0 y0 x1 y1") and `confidence`, with semicolons between several."""
    return {
        "box": ";".join(" ".join(f"{value:.6g}" for value in box.corners) for box in boxes),
        "confidence": ";".join("" if box.confidence is None else f"{box.confidence:.6g}" for box in boxes),
    }


def _box(words: list[str], path: Path, number: int) -> Box:
    try:
        x, y, width, height, *rest = (float(word) for word in words[1:])
    except ValueError as error:
        raise _malformed(words, path, number) from error
    fractions = all(0 <= value <= 1 for value in (x, y, width, height, *rest))  # not so of NaN
    if not re.fullmatch("[0-9]+", words[0]) or not fractions or width * height == 0 or len(rest) > 1:
        raise _malformed(words, path, number)
    corners = (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
    left, top, right, bottom = (min(max(value, 0.0), 1.0) for value in corners)
    return Box(corners=(left, top, right, bottom), confidence=rest[0] if rest else None)


def _malformed(words: list[str], path: Path, number: int) -> SynthanomError:
    return SynthanomError(
        f"{path}: line {number} must be '{LINE}', the class a number and the others fractions of the image in [0, 1], "
        f"got {' '.join(words)[:80]!r}; correct the line"
    )
