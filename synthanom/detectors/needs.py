"""What each detector has to be given; no torch here, so that settings are checked before it is imported."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from synthanom.errors import SynthanomError
from synthanom.nearest import meant


@dataclass(frozen=True, kw_only=True)
class Needs:
    """What a detector has to be given, so that training asks and need not know which one it is.

    Attributes
    ----------
    training : str
        ``"anomalous"``: each training row comes with a synthetic anomaly; ``"healthy"``: as it is.
    loss : str
        Validation pictures that its loss says something about: ``"every"`` or ``"healthy"``.
    network : str
        Its network where the settings name none.
    bottleneck : bool
        Whether a network that can copy its input would find nothing.
    """

    training: Literal["anomalous", "healthy"]
    loss: Literal["every", "healthy"]
    network: Literal["unet", "autoencoder"]
    bottleneck: bool


NEEDS: Mapping[str, Needs] = MappingProxyType(
    {
        "multitask": Needs(training="anomalous", loss="every", network="unet", bottleneck=False),
        "autoencoder": Needs(training="healthy", loss="healthy", network="autoencoder", bottleneck=True),
    }
)


def needs_of(name: str) -> Needs:
    """What the detector of this name needs.

    Raises
    ------
    SynthanomError
        If there is none.
    """
    if name not in NEEDS:
        hint = meant(name, NEEDS) or "; choose one of them"
        raise SynthanomError(f"detector must be one of {', '.join(NEEDS)}, got {name!r}{hint}")
    return NEEDS[name]
