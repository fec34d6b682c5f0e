"""Scans in, score maps on the scans' own grids out."""

from importlib import import_module
from typing import Any

__all__ = ["Outcome", "predict"]


def __getattr__(name: str) -> Any:
    """Looked up on first use (PEP 562): who reads maps, to evaluate them, needs no torch and its 200 MiB."""
    if name in __all__:
        return getattr(import_module("synthanom.predicting.folder"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
