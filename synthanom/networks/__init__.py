"""Networks and what goes in beside the image; no training code."""

from importlib import import_module
from typing import Any

__all__ = ["positions", "registry", "unet"]


def __getattr__(name: str) -> Any:
    # positions needs no torch, so nothing is imported before it is asked for
    if name in __all__:
        return import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
