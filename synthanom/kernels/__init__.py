"""Pure array maths: no random numbers, no settings.

Each kernel is a folder: `__init__` is its face, `reference` its definition in plain float64, `cpu` the compiled twin,
`gpu` the batched one in torch for any device (`windows.gpu` says how boxes of different sizes make a batch).
All but the definitions see volumes only: a 2D image is a volume whose first spatial axis has length 1 ("flat").
"""

from importlib import import_module
from typing import Any

__all__ = [
    "affine_patch",
    "components",
    "cubic_spline",
    "flipped_exponential",
    "grey_reconstruct",
    "inner_boundary",
    "periodic_gaussian",
    "placement",
    "poisson",
    "radial_warp",
    "region_mask",
    "smooth_change",
    "soft_label",
    "windows",
]


def __getattr__(name: str) -> Any:
    # so that synthanom.kernels.poisson works without importing every kernel
    if name in __all__:
        return import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
