"""The data sets that `build-dataset` knows by name. Light: their files are imported when one is asked for."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from synthanom.arrays import MaskArray
    from synthanom.preprocess import Pipeline
    from synthanom.volumes import Reading, Volume
    from synthanom_builders.cases import Case
    from synthanom_builders.folder import Listing
    from synthanom_builders.known import KnownLister
    from synthanom_builders.settings import BuildSettings

# name on the command line -> what --help says; the file bears the part of the name before the hyphen
NAMES = {
    "hcp": "Healthy brains of the Human Connectome Project: RAW/<subject>/T1w/T2w_acpc_dc_restore_brain.nii.gz.",
    "brats": "Brains with glioma, for testing only (--test): BraTS 2017 and later, a folder for each case.",
    "isles15": "Brains with a stroke, for testing only (--test): ISLES 2015, RAW/SISS2015_Training.",
    "zhanglab": "Healthy paediatric chest radiographs of the ZhangLab (Kermany) set: RAW/train/NORMAL.",
    "vindr-cxr": "Chest radiographs of VinDr-CXR in which three readers found nothing: RAW/train, RAW/annotations.",
    "knee-us": "Ultrasound of knees, not distended, and distended ones to test on: RAW/sqr/train/nd, RAW/sqr/boxes.",
    "imagenet": "Photographs of ImageNet, grey, as donors for radiographs: RAW/train, a folder for each class.",
    "medianomaly": "A set of MedIAnomaly: RSNA, VinCXR, BrainTumor, LAG, ISIC2018_Task3, Camelyon16 or BraTS2021.",
    "digit-anatomy": "Grids of handwritten digits, each in its place: RAW with MNIST's files or mnist.npz.",
    "mood-brain": "Brains of the MOOD challenge: RAW/brain_train, a quarter of their sides.",
    "mood-abdomen": "Abdomens of the MOOD challenge: RAW/abdom_train, a quarter of their sides; donors for volumes.",
}


@dataclass(frozen=True, kw_only=True)
class NamedDataSet:
    """What is particular to one data set: which files are cases, and the steps that prepare them.

    Attributes
    ----------
    shape : tuple of ints
        Of every image, unless ``--shape`` asks for another.
    pipeline : function of (settings, shape)
    list_cases : function of (raw, out, settings), or None
        Checks the layout, then lists the healthy cases to train on; None where there are none.
    list_known : function of (raw, out, settings), or None
        Checks the layout, then lists what a detector is tested on; None where the truth is not known.
    read : function of (raw, case, reading), or None
        Reads a case that is no file of its own; None for files.
    split : str
        Name of the split that ``--split-file`` holds; empty where there is none.
    contrasts : tuple of str
        That ``--contrasts`` may name; empty where there is one only.
    usual : tuple of str
        Contrasts to take where none are named.
    grey : bool
        Whether colour is turned into grey.
    takes_subjects : bool
        Whether ``--subjects`` may say whom the images show, as the data set does not.
    """

    shape: tuple[int, ...]
    pipeline: "Callable[[BuildSettings, tuple[int, ...]], Pipeline]"
    list_cases: "Callable[[Path, Path, BuildSettings], Listing] | None" = None
    list_known: "KnownLister | None" = None
    read: "Callable[[Path, Case, Reading], tuple[Volume, MaskArray | None]] | None" = None
    split: str = ""
    contrasts: tuple[str, ...] = ()
    usual: tuple[str, ...] = ()
    grey: bool = False
    takes_subjects: bool = False


def named(name: str) -> NamedDataSet:
    """The data set with this name."""
    file = name.partition("-")[0]  # a file may hold several
    data_sets: dict[str, NamedDataSet] = import_module(f"synthanom_builders.{file}").DATA_SETS
    return data_sets[name]


def below(raw: Path, places: Sequence[str], remedy: str) -> Path:
    """The first of some folders under `raw` that is there, upper and lower case being one.

    Raises
    ------
    SynthanomError
        If none is: it names the first, and the remedy.
    """
    from synthanom.errors import SynthanomError

    for place in places:
        found = entry_of(raw, f"{place}/")
        if found is not None:
            return found
    raise SynthanomError(f"{raw / places[0]}: this folder of the data set is missing; {remedy}")


def entry_of(raw: Path, place: str) -> Path | None:
    """A file under `raw`, or with a slash at the end of its name a folder, upper and lower case being one."""
    *folders, last = place.removesuffix("/").split("/")
    for name in folders:
        inner = _without_case(raw, name, Path.is_dir)
        if inner is None:
            return None
        raw = inner
    return _without_case(raw, last, Path.is_dir if place.endswith("/") else Path.is_file)


def _without_case(folder: Path, name: str, is_right: Callable[[Path], bool]) -> Path | None:
    if not folder.is_dir():
        return None
    matching = (entry for entry in sorted(folder.iterdir()) if entry.name.lower() == name.lower())
    return next((entry for entry in matching if is_right(entry)), None)
