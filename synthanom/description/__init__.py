"""What a data set holds: counts, sizes, intensities, anomalies, labels, leaks."""

from synthanom.description.anomalies import TaskContent
from synthanom.description.describe import Description, describe
from synthanom.description.images import ImageContent
from synthanom.description.intensities import Intensities

__all__ = ["describe", "Description", "ImageContent", "TaskContent", "Intensities"]
