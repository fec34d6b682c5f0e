"""From raw scans to what models see, as data: every step is stored with its settings and can be undone."""

from synthanom.preprocess.contrasts import align, check_grid, mask_on_grid
from synthanom.preprocess.framing import CropBorder, FrameForeground, PadToMultiple, Square
from synthanom.preprocess.grey_values import EqualiseHistogram, Invert, Window
from synthanom.preprocess.grids import Canonical, CropToForeground, FitShape
from synthanom.preprocess.intensities import Foreground, ForegroundFromCorners, MinusOneOne, ZScore
from synthanom.preprocess.pipeline import Pipeline, default_pipeline, restore
from synthanom.preprocess.resampling import Resample, ResizePicture
from synthanom.preprocess.scaling import EdgePreservingResample, Rescale
from synthanom.preprocess.state import Prepared

__all__ = [
    "Canonical",
    "CropBorder",
    "CropToForeground",
    "EdgePreservingResample",
    "EqualiseHistogram",
    "FitShape",
    "Foreground",
    "ForegroundFromCorners",
    "FrameForeground",
    "Invert",
    "MinusOneOne",
    "PadToMultiple",
    "Pipeline",
    "Prepared",
    "Rescale",
    "Resample",
    "ResizePicture",
    "Square",
    "Window",
    "ZScore",
    "align",
    "check_grid",
    "default_pipeline",
    "mask_on_grid",
    "restore",
]
