"""Layouts that are known by what lies where: BIDS, nnU-Net, anomalib. By the files' names only."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from synthanom.errors import SynthanomError
from synthanom_builders import anomalib, bids, nnunet
from synthanom_builders.inventory import Cases, Inventory
from synthanom_builders.known import KnownListing
from synthanom_builders.settings import AUTO, PLAIN


@dataclass(frozen=True, kw_only=True)
class Layout:
    """How one layout is recognised, and what is taken from it.

    Attributes
    ----------
    name, title : str
        On the command line, and in sentences.
    recognised : function of paths
        Relative to the raw folder, with forward slashes.
    training, known : function of (inventory, channels)
        The cases to build from, and those to test on; `channels` is the pattern that was asked for, or None.
    """

    name: str
    title: str
    recognised: Callable[[Sequence[str]], bool]
    training: Callable[[Inventory, str | None], Cases]
    known: Callable[[Inventory, str | None], KnownListing]


KNOWN = (
    Layout(name="bids", title="BIDS", recognised=bids.recognised, training=bids.training, known=bids.known),
    Layout(name="nnunet", title="nnU-Net", recognised=nnunet.recognised, training=nnunet.training, known=nnunet.known),
    Layout(
        name="anomalib",
        title="anomalib",
        recognised=lambda paths: anomalib.recognised(paths) or bool(anomalib.categories(paths)),
        training=anomalib.training,
        known=anomalib.known,
    ),
)


def layout_of(inventory: Inventory, asked: str) -> Layout | None:
    """The layout that was asked for, else the one that is recognised; None where images are taken as they lie.

    Raises
    ------
    SynthanomError
        If several are recognised.
    """
    if asked == PLAIN:
        return None
    if asked != AUTO:
        return next(layout for layout in KNOWN if layout.name == asked)
    paths = [image.path for image in inventory.images]
    found = [layout for layout in KNOWN if layout.recognised(paths)]
    if len(found) > 1:
        raise SynthanomError(
            f"{inventory.raw}: must have one layout, got what looks like {' and '.join(one.title for one in found)}; "
            f"say which with --layout {found[0].name}, or --layout {PLAIN} to take every image"
        )
    return found[0] if found else None


def training_cases(inventory: Inventory, layout: Layout, channels: str | None, asked: str) -> Cases:
    """What a layout has to build from.

    Raises
    ------
    SynthanomError
        Saying how to overrule the layout where it was recognised, not asked for.
    """
    try:
        return layout.training(inventory, channels)
    except SynthanomError as error:
        raise _overruled(error, layout, asked) from error


def known_cases(inventory: Inventory, layout: Layout, channels: str | None, asked: str) -> KnownListing:
    """What a layout has to test on.

    Raises
    ------
    SynthanomError
        As `training_cases`.
    """
    try:
        return layout.known(inventory, channels)
    except SynthanomError as error:
        raise _overruled(error, layout, asked) from error


def _overruled(error: SynthanomError, layout: Layout, asked: str) -> SynthanomError:
    if asked != AUTO:
        return error
    return SynthanomError(
        f"{error} (the layout looks like {layout.title}; --layout {PLAIN} takes every image as it lies)"
    )
