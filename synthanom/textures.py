"""Procedural textures: donors for `inter_blend` where no external data set is at hand, marked as such."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import overload

import numpy as np

from synthanom.arrays import FloatArray
from synthanom.errors import SynthanomError
from synthanom.sample import Sample

SET_NAME = "procedural-textures"
OCTAVES = (1.0, 2.0, 4.0, 8.0)  # standard deviations of the smoothing, voxels


@dataclass(frozen=True, kw_only=True)
class TextureDonors(Sequence[Sample]):
    """A sequence of smooth random fields, made when asked for; the same number always gives the same picture.

    Attributes
    ----------
    shape : spatial shape of each texture, voxels
    channels : number of channels
    total : how many textures there are
    deviation : standard deviation of the values, image intensity units (1 for z-scored images, 0.5 for [-1, 1])
    start : number of the first texture, so that folds can hold disjoint ones
    """

    shape: tuple[int, ...]
    channels: int = 1
    total: int = 32
    deviation: float = 1.0
    start: int = 0

    def __len__(self) -> int:
        return self.total

    @overload
    def __getitem__(self, index: int) -> Sample: ...
    @overload
    def __getitem__(self, index: slice) -> list[Sample]: ...
    def __getitem__(self, index: int | slice) -> Sample | list[Sample]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(self.total))]
        if not -self.total <= index < self.total:
            raise IndexError(f"texture {index} of {self.total}")
        number = self.start + index % self.total
        rng = np.random.Generator(np.random.Philox(key=number))
        image = np.stack([texture(rng, self.shape) for _ in range(self.channels)]) * self.deviation
        name = f"texture-{number}"
        return Sample.from_array(image, id=name, subject=name, channels=self.channels)


def texture(rng: np.random.Generator, shape: Sequence[int]) -> FloatArray:
    """Draw one texture: white noise smoothed at several scales, randomly weighted; mean 0, deviation 1, float64 (*S).

    Raises
    ------
    SynthanomError
        If `shape` has not 2 or 3 axes.
    """
    from synthanom.kernels.periodic_gaussian import smooth

    if len(shape) not in (2, 3):
        raise SynthanomError(f"a texture needs 2 or 3 axes, got shape {tuple(shape)}")
    total = np.zeros(tuple(shape))
    for sigma in OCTAVES:
        layer = smooth(rng.standard_normal(tuple(shape)), sigma)
        # coarser is stronger, as in anatomy: with equal weights the finest scale's gradients drown the others
        total += rng.random() * sigma * layer / layer.std()
    return np.asarray((total - total.mean()) / total.std())
