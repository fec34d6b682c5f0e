"""The two ways in which pictures of named data sets are prepared."""

from synthanom.preprocess import EqualiseHistogram, Foreground, MinusOneOne, Pipeline, ResizePicture
from synthanom_builders.settings import BuildSettings

EQUALISED_AT = 512  # pixels a side


def resized(settings: BuildSettings, shape: tuple[int, ...]) -> Pipeline:
    """Resized whatever the aspect, each picture scaled to [-1, 1], foreground everywhere."""
    del settings
    return Pipeline((ResizePicture(shape=shape), Foreground(rule="none"), MinusOneOne()))


def equalised(settings: BuildSettings, shape: tuple[int, ...]) -> Pipeline:
    """Cubic to 512 a side, equalised, to [-1, 1], then to the final shape, foreground everywhere.

    Windows and inversion come with reading.

    References
    ----------
    Baugh et al., "Many tasks make light work", MICCAI 2023, doi:10.1007/978-3-031-43907-0_16 (radiographs and donors).
    """
    del settings
    larger = ResizePicture(shape=(EQUALISED_AT, EQUALISED_AT), order=3)
    return Pipeline(
        (larger, EqualiseHistogram(bins=256), MinusOneOne(), ResizePicture(shape=shape), Foreground(rule="none"))
    )
