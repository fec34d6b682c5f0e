"""Numbers that say how well score maps find anomalies: ranking, overlap, sample scores, intervals by subject."""

from synthanom.metrics.aggregation import SAMPLE_SCORES, Aggregation, anomalous_slices
from synthanom.metrics.intervals import Interval, bootstrap_interval
from synthanom.metrics.overlap import dice, f_beta
from synthanom.metrics.ranking import average_precision, roc_auc
from synthanom.metrics.shuffled import BatchedPrecision, batched_average_precision
from synthanom.metrics.streaming import RankingAccumulator

__all__ = [
    "average_precision",
    "roc_auc",
    "dice",
    "f_beta",
    "Aggregation",
    "SAMPLE_SCORES",
    "anomalous_slices",
    "BatchedPrecision",
    "batched_average_precision",
    "RankingAccumulator",
    "Interval",
    "bootstrap_interval",
]
