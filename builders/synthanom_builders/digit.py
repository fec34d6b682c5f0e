"""DigitAnatomy: grids of handwritten digits in which each has its place, and what can be wrong with them.

Drawn anew after the description: the files that the authors tested on are not needed.

References
----------
Xiang et al., "SQUID: deep feature in-painting for unsupervised anomaly detection", CVPR 2023, pp. 23890-23901,
arXiv:2111.13495.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from synthanom.arrays import ImageArray, MaskArray
from synthanom.errors import SynthanomError
from synthanom.streams import stream
from synthanom.volumes import Reading, Volume
from synthanom.volumes.volume import Source, make_volume
from synthanom_builders.cases import Case, Image, image_of
from synthanom_builders.digit_anomalies import KINDS, difference
from synthanom_builders.digit_files import DigitFiles, Exemplars, Part, find_digits, load_digits
from synthanom_builders.digit_grids import ACROSS, CELL, LEVELS, Grid, draw_grid, render
from synthanom_builders.folder import Listing
from synthanom_builders.known import KnownCase, KnownListing
from synthanom_builders.named import NamedDataSet
from synthanom_builders.picture_steps import resized
from synthanom_builders.settings import BuildSettings

COUNT = 1600  # grids to train on
EACH = 125  # anomalous grids of each kind, and as many normal ones beside them
STREAMS = 1  # changes whenever other grids are drawn


def list_cases(raw: Path, out: Path, settings: BuildSettings) -> Listing:
    """List the normal grids to train on, which no file holds.

    Raises
    ------
    SynthanomError
        If a file of the digits is missing or damaged.
    """
    del out, settings
    found = find_digits(raw, "train")
    counts = load_digits(found).counts
    image = _image(found, raw)
    names = [f"train/{index:05}" for index in range(COUNT)]
    cases = tuple(Case(id=name, subject=name, images=(replace(image, id=name),)) for name in names)
    return Listing(cases=cases, contrasts=(), notes=(_note(found, raw, counts), f"grids: {len(cases)}, all normal"))


def list_known(raw: Path, out: Path, settings: BuildSettings) -> KnownListing:
    """List the anomalous grids to test on, each beside the normal grid that it was made from.

    Raises
    ------
    SynthanomError
        If a file of the digits is missing or damaged.
    """
    del out, settings
    found = find_digits(raw, "test")
    exemplars = load_digits(found)
    image = _image(found, raw)
    kinds = [kind for kind in KINDS for _ in range(EACH)]
    pairs = [pair for index, kind in enumerate(kinds) for pair in _pair(index, kind, image, exemplars)]
    notes = (_note(found, raw, exemplars.counts), f"grids: {len(kinds)} normal, {EACH} each {', '.join(KINDS)}")
    return KnownListing(cases=tuple(sorted(pairs, key=lambda one: one.case.id)), notes=notes)


def read(raw: Path, case: Case, reading: Reading) -> tuple[Volume, MaskArray | None]:
    """Render a grid to train on, with the values of a PNG of 16 bits.

    Raises
    ------
    SynthanomError
        If a file of the digits is missing or damaged.
    """
    del reading
    exemplars = load_digits(find_digits(raw, "train"))
    picture = render(normal_grid("train", int(case.id.rpartition("/")[2]), exemplars), exemplars)
    return make_volume(picture, raw / case.path, kind="picture"), None


def normal_grid(part: Part, index: int, exemplars: Exemplars) -> Grid:
    """Grid number `index` of a part: the same whatever was drawn before, and by whom."""
    return draw_grid(stream(0, f"digit-anatomy/{part}", f"grid-{STREAMS}", index), exemplars.counts)


def anomalous_grid(index: int, kind: str, exemplars: Exemplars) -> Grid:
    """Grid number `index` of the test part with something wrong."""
    rng = stream(0, "digit-anatomy/test", f"{kind}-{STREAMS}", index)
    return KINDS[kind](rng, normal_grid("test", index, exemplars), exemplars)


@dataclass(frozen=True, kw_only=True)
class GridDrawing:
    """Draws a grid to test on; `kind` is empty for a normal one."""

    index: int
    kind: str

    def draw(self, raw: Path, case: Case) -> tuple[ImageArray | None, MaskArray | None]:
        """The picture, and the pixels that differ from the normal one.

        Raises
        ------
        SynthanomError
            If a file of the digits changed, or nothing differs: a digit left black by whoever wrote it.
        """
        exemplars = load_digits(find_digits(raw, "test"))
        normal = render(normal_grid("test", self.index, exemplars), exemplars)
        if not self.kind:
            return _in_unit(normal), None
        anomalous = render(anomalous_grid(self.index, self.kind, exemplars), exemplars)
        mask = difference(normal, anomalous)
        if not mask.any():
            raise SynthanomError(f"{case.id}: an anomaly must be visible, got a digit without ink; replace the digits")
        return _in_unit(anomalous), mask


def _pair(index: int, kind: str, image: Image, exemplars: Exemplars) -> tuple[KnownCase, KnownCase]:
    """The normal grid and the anomalous one: one subject, as they show the same digits."""
    before, after = normal_grid("test", index, exemplars), anomalous_grid(index, kind, exemplars)
    cells = "".join(str(int(one != two)) for one, two in zip(before, after, strict=True))
    normal, anomalous = (f"test/{name}/{index:05}" for name in ("normal", kind))

    def known(name: str, other: str, kind: str, cells: str) -> KnownCase:
        return KnownCase(
            case=Case(id=name, subject=f"test/{index:05}", images=(replace(image, id=name),)),
            anomalous=bool(kind),
            kind=kind,
            drawing=GridDrawing(index=index, kind=kind),
            columns={"cells": cells, "pair": other},
        )

    return known(normal, anomalous, "", "0" * ACROSS**2), known(anomalous, normal, kind, cells)


def _image(found: DigitFiles, raw: Path) -> Image:
    """The files that every grid is made of, so that a change of them is noticed."""
    return image_of(Source(id="digits", files=found.files, format="picture"), raw)


def _note(found: DigitFiles, raw: Path, counts: tuple[int, ...]) -> str:
    names = ", ".join(file.relative_to(raw).as_posix() for file in found.files)
    return f"digits: {sum(counts)} of {names}, {min(counts)} to {max(counts)} of each"


def _in_unit(levels: np.ndarray) -> ImageArray:
    return np.asarray(levels / LEVELS, dtype=np.float32)


DATA_SETS = {
    "digit-anatomy": NamedDataSet(
        shape=(ACROSS * CELL, ACROSS * CELL), pipeline=resized, list_cases=list_cases, list_known=list_known, read=read
    )
}
