"""The data sets that `build-dataset` knows by name. Light: their files are imported when one is asked for."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from synthanom.preprocess import Pipeline
    from synthanom_builders.folder import Listing
    from synthanom_builders.settings import BuildSettings

# name on the command line -> what --help says; the file bears the part of the name before the hyphen
NAMES = {
    "zhanglab": "Healthy paediatric chest radiographs of the ZhangLab (Kermany) set: RAW/train/NORMAL.",
    "vindr-cxr": "Chest radiographs of VinDr-CXR in which three readers found nothing: RAW/train, RAW/annotations.",
    "imagenet": "Photographs of ImageNet, grey, as donors for radiographs: RAW/train, a folder for each class.",
    "medianomaly": "Healthy training images of a set of MedIAnomaly: RAW/images, RAW/data.json.",
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
    list_cases : function of (raw, out, settings)
        Checks the layout, then lists the cases.
    pipeline : function of (settings, shape)
    takes_split : bool
        Whether ``--split-file`` means anything.
    grey : bool
        Whether colour is turned into grey.
    """

    shape: tuple[int, ...]
    list_cases: "Callable[[Path, Path, BuildSettings], Listing]"
    pipeline: "Callable[[BuildSettings, tuple[int, ...]], Pipeline]"
    takes_split: bool = False
    grey: bool = False


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
        found = _without_case(raw, place.split("/"))
        if found is not None:
            return found
    raise SynthanomError(f"{raw / places[0]}: this folder of the data set is missing; {remedy}")


def _without_case(folder: Path, names: Sequence[str]) -> Path | None:
    for name in names:
        if not folder.is_dir():
            return None
        matching = sorted(entry for entry in folder.iterdir() if entry.name.lower() == name.lower() and entry.is_dir())
        if not matching:
            return None
        folder = matching[0]
    return folder
