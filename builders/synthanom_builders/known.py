"""Test sets: the scans of a data set about which the truth is known."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from synthanom.arrays import ImageArray, MaskArray
from synthanom_builders.cases import Case, Image
from synthanom_builders.settings import BuildSettings


class Drawing(Protocol):
    """Something that is drawn for a case because the data set does not come with it as a file."""

    def draw(self, raw: Path, case: Case) -> tuple[ImageArray | None, MaskArray | None]:
        """The image (*S) in [0, 1] and the mask (*S) of the anomaly, each None where there is nothing to draw."""


@dataclass(frozen=True, kw_only=True)
class KnownCase:
    """A case of the data set about which the truth is known.

    Attributes
    ----------
    case : Case
    anomalous : bool or None
        None where only the mask can tell.
    kind : str
        Of the anomaly, as the data set calls it.
    mask : Image or None
        A file of the raw data: what is above 0 in it is anomalous.
    drawing : Drawing or None
        Draws what no file holds.
    columns : mapping of str to str
        What else the data set says.
    """

    case: Case
    anomalous: bool | None
    kind: str = ""
    mask: Image | None = None
    drawing: Drawing | None = None
    columns: Mapping[str, str] = field(default_factory=dict)

    @property
    def masked(self) -> bool:
        """Whether there is, or will be drawn, a mask of what is wrong."""
        return self.mask is not None or (self.drawing is not None and self.anomalous is True)


@dataclass(frozen=True, kw_only=True)
class KnownListing:
    """The cases of a test set, ordered by id; the contrasts in channel order; a line per thing understood."""

    cases: tuple[KnownCase, ...]
    contrasts: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


KnownLister = Callable[[Path, Path, BuildSettings], KnownListing]  # (raw, out, settings)
