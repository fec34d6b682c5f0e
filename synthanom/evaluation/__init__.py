"""How well score maps find what masks and labels say is there."""

from synthanom.evaluation.evaluate import Evaluation, Row, evaluate

__all__ = ["Evaluation", "Row", "evaluate"]
