"""Numbers that say how well score maps find anomalies: ranking, overlap, sample scores, intervals by subject."""

from synthanom.metrics.aggregation import SAMPLE_SCORES, Aggregation, anomalous_slices
from synthanom.metrics.cuts import Confusion, best_cut, confusion, confusions_of_counts
from synthanom.metrics.intervals import Interval, bootstrap_interval, interval_of_draws, subject_weights
from synthanom.metrics.lesions import LesionCounts, lesion_counts
from synthanom.metrics.overlap import dice, f_beta
from synthanom.metrics.pixels import Pixels, PixelStore
from synthanom.metrics.ranking import average_precision, roc_auc
from synthanom.metrics.regions import RegionTally, aupro, aupro_of_pixels, region_tally
from synthanom.metrics.shuffled import BatchedPrecision, batched_average_precision, batched_precision_of_pixels
from synthanom.metrics.streaming import RankingAccumulator
from synthanom.metrics.tallies import Tally, tally_of_numbers, tally_of_pixels

__all__ = [
    "average_precision",
    "roc_auc",
    "aupro",
    "dice",
    "f_beta",
    "Aggregation",
    "SAMPLE_SCORES",
    "anomalous_slices",
    "BatchedPrecision",
    "batched_average_precision",
    "batched_precision_of_pixels",
    "Confusion",
    "confusion",
    "confusions_of_counts",
    "best_cut",
    "LesionCounts",
    "lesion_counts",
    "Pixels",
    "PixelStore",
    "RankingAccumulator",
    "RegionTally",
    "aupro_of_pixels",
    "region_tally",
    "Tally",
    "tally_of_numbers",
    "tally_of_pixels",
    "Interval",
    "bootstrap_interval",
    "interval_of_draws",
    "subject_weights",
]
