"""What is read off the healthy images, one at a time: what they are compared by, intensities, voxel sizes."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from synthanom.description.intensities import Intensities
from synthanom.leaks import ImageKeys
from synthanom.progress import Track
from synthanom.sample import Sample
from synthanom.shards import DataSet


@dataclass(frozen=True, kw_only=True, eq=False)
class ImageContent:
    """What the healthy images are like.

    Attributes
    ----------
    intensities : tuple of C Intensities
        In the foregrounds, per channel.
    foregrounds : list of float
        Share of every image that is foreground.
    spacings : list of tuple of D floats
        In mm, of every image that has one.
    """

    intensities: tuple[Intensities, ...]
    foregrounds: list[float] = field(default_factory=list)
    spacings: list[tuple[float, ...]] = field(default_factory=list)

    def add(self, sample: Sample) -> None:
        """Take an image in."""
        for channel, intensities in zip(sample.image, self.intensities, strict=True):
            intensities.add(channel[sample.foreground])
        self.foregrounds.append(float(sample.foreground.mean()))
        if sample.spacing is not None:
            self.spacings.append(sample.spacing)

    def to_dict(self) -> dict[str, Any]:
        """The content as JSON."""
        spacing, shares = None, None
        if self.spacings:
            low, high = np.min(self.spacings, axis=0), np.max(self.spacings, axis=0)
            spacing = {"min": low.tolist(), "max": high.tolist(), "images": len(self.spacings)}
        if self.foregrounds:
            low, middle, high = np.quantile(self.foregrounds, [0, 0.5, 1]).tolist()
            shares = {"min": low, "median": middle, "max": high}
        return {
            "spacing_mm": spacing,
            "foreground_share": shares,
            "intensities": [found.to_dict() for found in self.intensities if found.total],
        }


def read_images(data: DataSet, track: Track) -> tuple[ImageContent, ImageKeys]:
    """Read every healthy image once.

    Raises
    ------
    SynthanomError
        If a row is damaged.
    """
    content = ImageContent(intensities=tuple(Intensities() for _ in range(data.channels)))

    def passed() -> Iterator[Sample]:
        for row in track("reading images", range(len(data)), len(data)):
            sample = data.healthy(row)
            content.add(sample)
            yield sample

    return content, ImageKeys.of(passed())
