"""The pictures of a case as the page holds them: a strip of scans, one of maps to lay over it, outlines as paths."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from synthanom.arrays import MaskArray
from synthanom.pictures.overlays import MAP_COLOURS, OPAQUE, WINDOW
from synthanom.pictures.png import indexed_png
from synthanom.report.cases import Case, Cut, shrunk
from synthanom.report.viewer import data_uri

LEVELS = 64  # colours of a strip: more cost bytes and are not told apart
FACTORS = (1, 2, 3, 4)  # the first by which a case is shrunk into the bytes allowed is taken
MOST_POINTS = 4000  # of the outlines in one plane
QUANTILE = 0.999  # of the scores shown: the highest colour
Scale = tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class Outline:
    """The truth in one plane as the path of an SVG, in pixels: `slice` is its place in the strip."""

    slice: int
    d: str


@dataclass(frozen=True, kw_only=True)
class DrawnCase:
    """A case as its template shows it.

    Attributes
    ----------
    id, score : str
        The score in words.
    value : str
        The score with all its digits.
    rank : int
    truth : str
        ``"healthy"``, ``"anomalous"``, or empty where it is not known.
    verdict : str
        What the model called it.
    image : str or None
        Data URI of the scans, one below the other.
    heat : str
        Of the maps.
    outlines : tuple of Outline
    numbers : tuple of int
        Of the slices, from 1.
    total, first : int
        Slices of the whole image; place of the one seen first.
    ratio : float
        Width over height of a plane, in mm.
    width, height : int
        In pixels of the outlines.
    """

    id: str
    score: str
    value: str
    rank: int
    truth: str
    verdict: str
    image: str | None
    heat: str
    outlines: tuple[Outline, ...]
    numbers: tuple[int, ...]
    total: int
    first: int
    ratio: float
    width: int
    height: int

    @property
    def characters(self) -> int:
        """How much its pictures take of the page."""
        return len(self.image or "") + len(self.heat) + sum(len(outline.d) for outline in self.outlines)


def heat_scale(cases: Sequence[Case]) -> Scale:
    """The scores of the first and the last colour, one scale for all cases."""
    values = np.concatenate([cut.scores.ravel() for case in cases for cut in case.cuts])
    low, high = float(min(0.0, values.min())), float(np.quantile(values, QUANTILE))
    return low, high if high > low else low + 1


def drawn_case(case: Case, scale: Scale, way: str, *, known: bool, verdict: str, allowed: int) -> DrawnCase:
    """Encode a case, shrunk until it takes at most `allowed` characters of the page; at the smallest in any case."""
    made = None
    for factor in FACTORS:
        made = _drawn(case, scale, way, known=known, verdict=verdict, factor=factor)
        if made.characters <= allowed:
            break
    assert made is not None
    return made


def _drawn(case: Case, scale: Scale, way: str, *, known: bool, verdict: str, factor: int) -> DrawnCase:
    cuts = [_smaller(cut, factor) for cut in case.cuts]
    height, width = cuts[0].scores.shape
    images = [cut.image for cut in cuts if cut.image is not None]
    truth = ("anomalous" if case.sample.anomalous else "healthy") if known else ""
    return DrawnCase(
        id=case.sample.id,
        score=f"{case.sample.scores[way]:.4g}",
        value=repr(float(case.sample.scores[way])),
        rank=case.rank,
        truth=truth,
        verdict=verdict,
        image=_scans(images) if len(images) == len(cuts) else None,
        heat=_maps([cut.scores for cut in cuts], scale, alone=len(images) < len(cuts)),
        outlines=tuple(_outlines(cuts)),
        numbers=tuple(cut.index + 1 for cut in cuts),
        total=case.slices,
        first=case.start,
        ratio=width / (height * case.aspect),
        width=width,
        height=height,
    )


def _smaller(cut: Cut, factor: int) -> Cut:
    return Cut(
        index=cut.index,
        image=None if cut.image is None else shrunk(cut.image, factor),
        scores=shrunk(cut.scores, factor),
        truth=None if cut.truth is None else shrunk(cut.truth.astype(np.float32), factor) > 0,
    )


def _scans(planes: Sequence[npt.NDArray[np.float32]]) -> str:
    """Grey, from a low to a high percentile of all planes."""
    strip = np.concatenate(planes)
    low, high = (float(v) for v in np.percentile(strip, WINDOW))
    share = (strip - low) / (high - low if high > low else 1.0)
    greys = np.rint(np.linspace(0, 255, LEVELS)).astype(np.uint8)
    return data_uri(indexed_png(_indices(share), np.repeat(greys[:, None], 3, axis=1)))


def _maps(planes: Sequence[npt.NDArray[np.float32]], scale: Scale, *, alone: bool) -> str:
    """In colours that are the more opaque the higher the score, unless there is nothing to see below."""
    from matplotlib import colormaps

    places = np.linspace(0, 1, LEVELS)
    palette = np.rint(255 * colormaps[MAP_COLOURS](places)[:, :3]).astype(np.uint8)
    opacity = None if alone else np.rint(255 * OPAQUE * np.sqrt(places)).astype(np.uint8)
    share = (np.concatenate(planes) - scale[0]) / (scale[1] - scale[0])
    return data_uri(indexed_png(_indices(share), palette, opacity))


def _indices(share: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    return np.asarray(np.rint(np.clip(share, 0, 1) * (LEVELS - 1)), dtype=np.uint8)


def _outlines(cuts: Sequence[Cut]) -> Iterator[Outline]:
    for place, cut in enumerate(cuts):
        if cut.truth is not None and cut.truth.any():
            yield Outline(slice=place, d=_path(cut.truth))


def _path(mask: MaskArray) -> str:
    """Closed lines around what is marked, the longest first; those that lead over the plane's edge are closed there."""
    from skimage.measure import find_contours

    framed = np.pad(mask.astype(np.float32), 1)
    found = sorted(find_contours(framed, 0.5), key=len, reverse=True)  # type: ignore[no-untyped-call]
    words: list[str] = []
    points = 0
    for line in found:
        points += len(line)
        if points > MOST_POINTS and words:
            break
        # a pixel's centre lies half a pixel from its edge; the padding took one
        words.append("M" + "L".join(f"{x - 0.5:g} {y - 0.5:g}" for y, x in line[:-1]) + "Z")
    return "".join(words)
