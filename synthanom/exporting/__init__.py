"""Rows of a data set as plain arrays: dense HDF5, or NIfTI files."""

from synthanom.exporting.export import Exported, export, planned
from synthanom.exporting.selection import Selection

__all__ = ["Exported", "Selection", "export", "planned"]
