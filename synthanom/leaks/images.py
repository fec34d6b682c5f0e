"""Identical and nearly identical images across folds or data sets."""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from synthanom.leaks.finding import Leak, Place
from synthanom.leaks.hashing import NEAR, Hashes, nearest, perceptual_hash
from synthanom.sample import Sample


@dataclass(frozen=True, kw_only=True, eq=False)
class ImageKeys:
    """What images are compared by, a few hundred bytes each.

    Attributes
    ----------
    digests : tuple of str
        SHA-256 of the values alone, so that another foreground does not hide a copy.
    sample_digests : tuple of str
        `Sample.sha256`, by which recipes name donors.
    hashes : ndarray of shape (n, 2^D, C, W), uint64
        See `perceptual_hash`.
    """

    digests: tuple[str, ...]
    sample_digests: tuple[str, ...]
    hashes: Hashes

    @classmethod
    def of(cls, samples: Iterable[Sample]) -> "ImageKeys":
        """Read the keys off some samples, one at a time."""
        digests, sample_digests, hashes = [], [], []
        for sample in samples:
            image = np.ascontiguousarray(sample.image, dtype="<f4")
            digest = hashlib.sha256(repr(image.shape).encode())
            digest.update(image.data)
            digests.append(digest.hexdigest())
            sample_digests.append(sample.sha256)
            hashes.append(perceptual_hash(sample.image, sample.foreground))
        stacked = np.stack(hashes) if hashes else np.empty((0, 1, 1, 1), np.uint64)
        return cls(digests=tuple(digests), sample_digests=tuple(sample_digests), hashes=stacked)


def across_folds(keys: ImageKeys, places: Sequence[Place]) -> Iterator[Leak]:
    """Images that are in two folds: each copy once, each look-alike with its nearest."""
    first: dict[str, int] = {}
    for i, digest in enumerate(keys.digests):
        known = first.setdefault(digest, i)
        if places[known].fold != places[i].fold:
            yield Leak(kind="identical-images", first=places[known], second=places[i])
    if not places:
        return
    folds = np.array([place.fold for place in places], dtype=np.int64)
    index, distance = nearest(keys.hashes, keys.hashes, folds)
    seen: set[tuple[int, int]] = set()
    for i in np.flatnonzero(distance <= NEAR).tolist():
        pair = (min(i, int(index[i])), max(i, int(index[i])))
        if pair not in seen and keys.digests[pair[0]] != keys.digests[pair[1]]:
            seen.add(pair)
            yield _near(places[pair[0]], places[pair[1]], float(distance[i]))


def across_sets(
    keys: ImageKeys, places: Sequence[Place], others: ImageKeys, other_places: Sequence[Place]
) -> Iterator[Leak]:
    """Images of another data set that are in this one: each once, with its copy or its nearest look-alike."""
    first = {digest: i for i, digest in reversed(list(enumerate(keys.digests)))}
    for j, digest in enumerate(others.digests):
        if digest in first:
            yield Leak(kind="identical-images", first=places[first[digest]], second=other_places[j])
    if not places or not other_places or keys.hashes.shape[1:] != others.hashes.shape[1:]:
        return  # of other dimensions or channels: not the same kind of image
    index, distance = nearest(others.hashes, keys.hashes)
    for j in np.flatnonzero(distance <= NEAR).tolist():
        if others.digests[j] not in first:
            yield _near(places[int(index[j])], other_places[j], float(distance[j]))


def _near(first: Place, second: Place, distance: float) -> Leak:
    return Leak(kind="near-identical-images", first=first, second=second, distance=distance)
