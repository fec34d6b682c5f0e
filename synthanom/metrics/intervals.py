"""Confidence intervals by resampling subjects, not images: images of one subject are not independent."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from synthanom.errors import SynthanomError

Chosen = npt.NDArray[np.int64]
Weights = npt.NDArray[np.float64]
LEVEL = 0.95  # share of the resamples inside an interval


@dataclass(frozen=True, kw_only=True)
class Interval:
    """A metric's value with the percentile bootstrap interval; `draws` counts the resamples where it was defined.

    Attributes
    ----------
    value : float
    low, high : float
        Bounds; nan where the metric was defined on no resample.
    draws : int
        Resamples where it was defined.
    """

    value: float
    low: float
    high: float
    draws: int


def bootstrap_interval(
    metric: Callable[[Chosen], float],
    subjects: Sequence[str],
    *,
    rng: np.random.Generator,
    draws: int = 1000,
    level: float = 0.95,
) -> Interval:
    """Interval of `metric` over resampled subjects.

    Parameters
    ----------
    metric : callable
        Takes the indices (int64) of the chosen samples, with repeats, and returns the metric over them; nan where it
        is undefined, which leaves that resample out.
    subjects : sequence of str
        The subject of each sample.
    rng : numpy.random.Generator
        Draws the subjects, with replacement, as many as there are.
    draws : int
        Resamples.
    level : float
        Share of the resamples inside the interval, in (0, 1).

    Returns
    -------
    Interval
        The bounds are nan where the metric was defined on no resample.

    Raises
    ------
    SynthanomError
        No samples, fewer than one draw, or `level` outside (0, 1).
    """
    if not subjects or draws < 1 or not 0 < level < 1:
        raise SynthanomError(
            f"a bootstrap needs samples, at least one draw and a level in (0, 1), got {len(subjects)} samples, "
            f"{draws} draws and level {level}"
        )
    names, membership = np.unique(np.asarray(subjects), return_inverse=True)
    groups = [np.flatnonzero(membership == i) for i in range(len(names))]
    values = np.empty(draws)
    for k in range(draws):
        chosen = rng.integers(len(groups), size=len(groups))
        values[k] = metric(np.concatenate([groups[i] for i in chosen]))
    defined = values[~np.isnan(values)]
    low, high = (np.nan, np.nan) if defined.size == 0 else np.quantile(defined, [(1 - level) / 2, (1 + level) / 2])
    everything = metric(np.arange(len(subjects)))
    return Interval(value=float(everything), low=float(low), high=float(high), draws=int(defined.size))


def subject_weights(subjects: int, *, rng: np.random.Generator, draws: int = 1000) -> Weights:
    """How often each subject is in each resample of as many subjects, drawn with replacement.

    Parameters
    ----------
    subjects : int
        How many there are.
    rng : numpy.random.Generator
    draws : int
        Resamples.

    Returns
    -------
    ndarray of shape (draws, subjects), float64

    Raises
    ------
    SynthanomError
        No subjects, or fewer than one draw.
    """
    if subjects < 1 or draws < 1:
        raise SynthanomError(f"a bootstrap needs subjects and at least one draw, got {subjects} and {draws}")
    return rng.multinomial(subjects, np.full(subjects, 1 / subjects), size=draws).astype(np.float64)


def interval_of_draws(value: float, values: npt.NDArray[np.floating], *, level: float = LEVEL) -> Interval:
    """A metric's value with the percentile interval of its values on resamples.

    Parameters
    ----------
    value : float
    values : ndarray of shape (draws,)
        nan ones are left out.
    level : float
        Share of the resamples inside the interval, in (0, 1).

    Returns
    -------
    Interval
    """
    defined = values[~np.isnan(values)]
    low, high = (np.nan, np.nan) if defined.size == 0 else np.quantile(defined, [(1 - level) / 2, (1 + level) / 2])
    return Interval(value=plain(value), low=plain(low), high=plain(high), draws=int(defined.size))


def plain(value: float) -> float:
    """A number as a float; nan as the one nan that equals itself inside tuples, so that equal results compare equal."""
    return float(np.nan) if np.isnan(value) else float(value)
