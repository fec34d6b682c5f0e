"""MedIAnomaly: the field's common benchmark of seven sets of pictures, in the layouts in which they are handed out.

References
----------
Cai et al., "MedIAnomaly: a comparative study of anomaly detection in medical images", Med. Image Anal. 2025,
doi:10.1016/j.media.2025.103500.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from synthanom.errors import SynthanomError
from synthanom_builders.cases import Case
from synthanom_builders.folder import Listing
from synthanom_builders.known import KnownCase, KnownListing
from synthanom_builders.medianomaly_folders import (
    BRATS,
    CAMELYON,
    brats_test,
    brats_train,
    camelyon_test,
    camelyon_train,
)
from synthanom_builders.medianomaly_lists import LIST, listed_test, listed_train
from synthanom_builders.medianomaly_skin import SKIN, skin_test, skin_train
from synthanom_builders.named import NamedDataSet, without_case
from synthanom_builders.picture_steps import resized
from synthanom_builders.settings import BuildSettings


@dataclass(frozen=True, kw_only=True)
class Layout:
    """One way in which a set of the benchmark is laid out.

    Attributes
    ----------
    sets : str
        Which sets come so.
    marks : tuple of str
        Folders that are there in this layout and in no other.
    train, test : functions of (raw)
        List the healthy training cases, and the cases to test on.
    """

    sets: str
    marks: tuple[str, ...]
    train: Callable[[Path], list[Case]]
    test: Callable[[Path], list[KnownCase]]


LAYOUTS: Mapping[str, Layout] = {
    LIST: Layout(sets="RSNA, VinCXR, BrainTumor, LAG", marks=("images",), train=listed_train, test=listed_test),
    SKIN: Layout(sets="ISIC2018_Task3", marks=("ISIC2018_Task3_Training_Input",), train=skin_train, test=skin_test),
    CAMELYON: Layout(sets="Camelyon16", marks=("train/good", "test/ungood"), train=camelyon_train, test=camelyon_test),
    BRATS: Layout(sets="BraTS2021", marks=("test/tumor", "train"), train=brats_train, test=brats_test),
}


def list_cases(raw: Path, out: Path, settings: BuildSettings) -> Listing:
    """List the healthy training images of the set that lies there.

    Raises
    ------
    SynthanomError
        If it is none of the layouts, a file is missing, or a list is not what it should be.
    """
    del out, settings
    layout = layout_of(raw)
    cases = sorted(layout.train(raw), key=lambda case: case.id)
    if not cases:
        raise SynthanomError(f"{raw}: no healthy training image found; complete the download")
    subjects = len({case.subject for case in cases})
    note = f"layout of {layout.sets}: {len(cases)} healthy training images of {subjects} subjects"
    return Listing(cases=tuple(cases), contrasts=(), notes=(note,))


def list_known(raw: Path, out: Path, settings: BuildSettings) -> KnownListing:
    """List the test images of the set that lies there.

    Raises
    ------
    SynthanomError
        As `list_cases`.
    """
    del out, settings
    layout = layout_of(raw)
    cases = sorted(layout.test(raw), key=lambda one: one.case.id)
    if not cases:
        raise SynthanomError(f"{raw}: no test image found; complete the download")
    return KnownListing(cases=tuple(cases), notes=(f"layout of {layout.sets}: {len(cases)} test images",))


def layout_of(raw: Path) -> Layout:
    """The layout of which some folder is there.

    Raises
    ------
    SynthanomError
        If none is.
    """
    for layout in LAYOUTS.values():
        if any(without_case(raw, mark.split("/")) is not None for mark in layout.marks):
            return layout
    known = "; ".join(f"{layout.sets}: {layout.marks[0]}" for layout in LAYOUTS.values())
    raise SynthanomError(
        f"{raw / LAYOUTS[LIST].marks[0]}: this folder of the data set is missing; name the folder of one set ({known})"
    )


DATA_SETS = {
    "medianomaly": NamedDataSet(
        shape=(256, 256), pipeline=resized, list_cases=list_cases, list_known=list_known, grey=True
    )
}
