"""What changed, as a label: one kind per file. `LABELLERS` maps stored names to classes: append only."""

from synthanom.labels.abstract import AbstractLabeller
from synthanom.labels.binary import Binary
from synthanom.labels.boxes import Box, bounding_box, fill_components, merge_boxes
from synthanom.labels.factor import Factor
from synthanom.labels.flipped_gaussian import FlippedGaussian
from synthanom.labels.logistic import Logistic
from synthanom.labels.registry import LABELLERS, labeller_from

__all__ = [
    "LABELLERS",
    "AbstractLabeller",
    "Binary",
    "Box",
    "Factor",
    "FlippedGaussian",
    "Logistic",
    "bounding_box",
    "fill_components",
    "labeller_from",
    "merge_boxes",
]
