"""What a detector is tested on: data sets, and lists of scans with known truth."""

from dataclasses import dataclass

from synthanom.leaks.finding import Place
from synthanom.leaks.images import ImageKeys


@dataclass(frozen=True, kw_only=True, eq=False)
class Tested:
    """What a detector is tested on, as far as leaks into it are looked for.

    Attributes
    ----------
    places : tuple of Place
        Every image.
    keys : ImageKeys or None
        Of the images that could be read; None where none was to be.
    keyed : tuple of Place
        The images that `keys` are of, in their order.
    """

    places: tuple[Place, ...]
    keys: ImageKeys | None = None
    keyed: tuple[Place, ...] = ()
