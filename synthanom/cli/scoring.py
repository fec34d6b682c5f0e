"""How maps are computed, from the options of `synthanom predict`."""

from synthanom.detectors.memory import GIB, allowed_bytes
from synthanom.detectors.scoring import Scoring
from synthanom.errors import SynthanomError
from synthanom.training.device import DeviceChoice, chosen_device


def asked_scoring(device: DeviceChoice, memory: float | None, window: str | None, *, mirror: bool) -> Scoring:
    """The settings that options ask for; without --memory a share of what is free now.

    Parameters
    ----------
    device : str
    memory : float or None
        In GiB.
    window : str or None
        As ``96,128,128``, or ``whole``.
    mirror : bool

    Raises
    ------
    SynthanomError
        Options that are no such numbers, or a device that is not there.
    """
    if memory is not None and not 0 < memory < float("inf"):
        raise SynthanomError(f"--memory must be a number of GiB above 0, got {memory}")
    allowed = allowed_bytes(chosen_device(device)) if memory is None else max(1, int(memory * GIB))
    if window is None or window == "whole":
        return Scoring(memory=allowed, window="whole" if window else None, mirror=mirror)
    try:
        sides = tuple(int(word) for word in window.split(","))
    except ValueError as error:
        raise SynthanomError(
            f"--window must be whole, or one number of voxels per axis such as 96,128,128, got {window!r}"
        ) from error
    return Scoring(memory=allowed, window=sides, mirror=mirror)
