"""Scans in, score maps on the scans' own grids out."""

from synthanom.predicting.folder import Outcome, predict

__all__ = ["Outcome", "predict"]
