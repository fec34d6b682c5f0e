"""How well score maps find what masks and labels say is there."""

from synthanom.evaluation.evaluate import evaluate
from synthanom.evaluation.rows import Choices, CutRow, Difference, Evaluation, Row

__all__ = ["Choices", "CutRow", "Difference", "Evaluation", "Row", "evaluate"]
