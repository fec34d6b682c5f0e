"""Detectors by the name that settings and model files give them."""

from collections.abc import Mapping
from types import MappingProxyType

from synthanom.detectors.abstract import AbstractDetector
from synthanom.detectors.autoencoder import Autoencoder
from synthanom.detectors.multitask import MultiTask
from synthanom.detectors.needs import needs_of

DETECTORS: Mapping[str, type[AbstractDetector]] = MappingProxyType({"multitask": MultiTask, "autoencoder": Autoencoder})


def detector_class(name: str) -> type[AbstractDetector]:
    """The class of a detector.

    Parameters
    ----------
    name : str
        "multitask" or "autoencoder".

    Returns
    -------
    type
        A subclass of `AbstractDetector`.

    Raises
    ------
    SynthanomError
        If there is none of this name.
    """
    needs_of(name)  # refuses
    return DETECTORS[name]
