"""MedIAnomaly: the field's common benchmark; which of its sets a folder holds is told by what lies in it.

References
----------
Cai et al., "MedIAnomaly: a comparative study of anomaly detection in medical images", Med. Image Anal. 2025,
doi:10.1016/j.media.2025.103500.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from synthanom.errors import SynthanomError
from synthanom_builders import medianomaly_folders as folders
from synthanom_builders import medianomaly_isic as isic
from synthanom_builders import medianomaly_listed as listed
from synthanom_builders.folder import Listing
from synthanom_builders.known import KnownListing
from synthanom_builders.named import NamedDataSet, entry_of
from synthanom_builders.picture_steps import resized
from synthanom_builders.settings import BuildSettings


@dataclass(frozen=True, kw_only=True)
class Layout:
    """One of the ways in which the benchmark's sets are laid out.

    Attributes
    ----------
    sets : str
        That have it.
    training, test : tuple of str
        What each part needs and is known by: files, and with a slash at the end folders.
    list_training, list_test : function of (raw, out)
    """

    sets: str
    training: tuple[str, ...]
    test: tuple[str, ...]
    list_training: Callable[[Path, Path], Listing]
    list_test: Callable[[Path, Path], KnownListing]


# the first that fits is taken
LAYOUTS = (
    Layout(
        sets="RSNA, VinCXR, BrainTumor, LAG",
        training=listed.PLACES,
        test=listed.PLACES,
        list_training=listed.list_training,
        list_test=listed.list_test,
    ),
    Layout(
        sets="ISIC2018_Task3",
        training=isic.TRAINING,
        test=isic.TEST,
        list_training=isic.list_training,
        list_test=isic.list_test,
    ),
    Layout(
        sets="Camelyon16",
        training=("train/good/",),
        test=("test/good/", "test/Ungood/"),
        list_training=folders.list_camelyon_training,
        list_test=folders.list_camelyon_test,
    ),
    Layout(
        sets="BraTS2021",
        # 'train' is no mark of its own, and 'train' beside 'test/normal' is also how other data sets look
        training=("train/", "test/normal/", "test/tumor/"),
        test=("test/normal/", "test/tumor/", "test/annotation/"),
        list_training=folders.list_brats_training,
        list_test=folders.list_brats_test,
    ),
)


def list_cases(raw: Path, out: Path, settings: BuildSettings) -> Listing:
    """List the healthy training images.

    Raises
    ------
    SynthanomError
        If the folder holds none of the sets, a file is missing, or a list or table is not what it should be.
    """
    del settings
    return layout_of(raw, lambda layout: layout.training).list_training(raw, out)


def list_known(raw: Path, out: Path, settings: BuildSettings) -> KnownListing:
    """List the test images, with masks where the set has them.

    Raises
    ------
    SynthanomError
        As `list_cases`.
    """
    del settings
    return layout_of(raw, lambda layout: layout.test).list_test(raw, out)


def layout_of(raw: Path, needed: Callable[[Layout], tuple[str, ...]]) -> Layout:
    """The first layout of which all that is needed is there.

    Raises
    ------
    SynthanomError
        If none fits: it names what is missing first of the layout of which most is there.
    """
    for layout in LAYOUTS:
        if not _missing(raw, needed(layout)):
            return layout
    likely = max(LAYOUTS, key=lambda layout: _present(raw, layout))
    known = "; ".join(f"{', '.join(needed(layout))} ({layout.sets})" for layout in LAYOUTS)
    raise SynthanomError(
        f"{raw / _missing(raw, needed(likely))[0]}: this part of {likely.sets} is missing; name the folder of one set: "
        f"{known}"
    )


def _missing(raw: Path, places: tuple[str, ...]) -> list[str]:
    return [place for place in places if entry_of(raw, place) is None]


def _present(raw: Path, layout: Layout) -> int:
    places = {*layout.training, *layout.test}
    return sum(entry_of(raw, place) is not None for place in places)


DATA_SETS = {
    "medianomaly": NamedDataSet(
        shape=(256, 256), list_cases=list_cases, list_known=list_known, pipeline=resized, grey=True
    )
}
