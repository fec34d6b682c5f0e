"""Synthetic anomalies for medical images: seamless tasks, soft labels, recipes that replay to the last voxel."""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

# Looked up on first use (PEP 562), so that importing synthanom imports neither torch, h5py, numba nor scipy.
_HOME = {
    "Sample": "synthanom.sample",
    "Recipe": "synthanom.recipe",
    "Batch": "synthanom.synthesis",
    "Result": "synthanom.synthesis",
    "synthesise": "synthanom.synthesis",
    "synthesise_batch": "synthanom.synthesis",
    "replay": "synthanom.synthesis",
    "stream": "synthanom.streams",
    "DonorSet": "synthanom.donors",
    "TextureDonors": "synthanom.textures",
    "Mixture": "synthanom.mixture",
    "AnomalyDataset": "synthanom.datasets",
    "SynthanomError": "synthanom.errors",
}
_MODULES = ("kernels", "labels", "metrics", "networks", "regions", "tasks")

__all__ = [*_HOME, *_MODULES]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    if name in _MODULES:
        return import_module(f"synthanom.{name}")
    raise AttributeError(f"module 'synthanom' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
