"""What a reader may do beyond taking a file as it is, each asked for by name."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from synthanom.errors import SynthanomError

LUMA = (0.299, 0.587, 0.114)  # Rec. 601: what JPEG and most programs take for the grey of a colour


@dataclass(frozen=True, kw_only=True)
class Reading:
    """How to read what is not one grey, complete image; the defaults refuse it.

    Attributes
    ----------
    volume : int or None
        Which volume of a file or series of several (time points, echoes, components), counted from 0. Files of one
        volume are read as they are.
    allow_gaps : bool
        Fill missing or unevenly spaced slices of a DICOM stack by linear interpolation between their neighbours.
    grey : bool
        Turn colour into grey, 0.299 R + 0.587 G + 0.114 B.
    """

    volume: int | None = None
    allow_gaps: bool = False
    grey: bool = False

    def __post_init__(self) -> None:
        if self.volume is not None and self.volume < 0:
            raise SynthanomError(f"--volume must be 0 (the first) or more, got {self.volume}")

    def to_dict(self) -> dict[str, Any]:
        """What differs from the defaults, as JSON."""
        return {name: value for name, value in vars(self).items() if value is not None and value is not False}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Reading":
        """What `to_dict` gave.

        Raises
        ------
        SynthanomError
            If an entry is something else.
        """
        volume = data.get("volume")
        flags = {name: data.get(name, False) for name in ("allow_gaps", "grey")}
        known = set(data) <= {"volume", *flags} and all(isinstance(flag, bool) for flag in flags.values())
        if not known or not (volume is None or (isinstance(volume, int) and not isinstance(volume, bool))):
            raise SynthanomError(
                f"how images are read must be given by volume, allow_gaps and grey, got {dict(data)}; "
                "a newer synthanom may have written it, or it was edited"
            )
        return cls(volume=volume, **flags)

    def chosen(self, count: int, path: object, what: str) -> int:
        """The index of the volume to read among `count`.

        Parameters
        ----------
        count : int
        path : path
            Of the file, for messages.
        what : str
            Says in messages how the volumes are stored.

        Returns
        -------
        int

        Raises
        ------
        SynthanomError
            If there are several and none was asked for, or there is no such one.
        """
        if count == 1:
            return 0
        if self.volume is None:
            raise SynthanomError(
                f"{path}: one volume is read, got {what}; pick one with --volume, 0 to {count - 1} "
                "(in Python: read(path, Reading(volume=0)))"
            )
        if self.volume >= count:
            raise SynthanomError(f"{path}: --volume must be 0 to {count - 1}, got {self.volume} ({what})")
        return self.volume


def reading_of(preprocessing: Mapping[str, Any]) -> Reading:
    """How the images were read that a stored preprocessing is for.

    Raises
    ------
    SynthanomError
        As `Reading.from_dict`.
    """
    stored = preprocessing.get("reading", {})
    return Reading.from_dict(stored if isinstance(stored, Mapping) else {"": stored})


AS_STORED = Reading()


def luminance(colours: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """Grey of colours (..., 3) or (..., 4), the fourth being ignored; float32 (...)."""
    red, green, blue = (colours[..., i].astype(np.float32) * np.float32(LUMA[i]) for i in range(3))
    return np.asarray(red + green + blue)
