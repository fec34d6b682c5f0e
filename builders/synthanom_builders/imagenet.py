"""ImageNet: everyday photographs as grey donors for radiographs; 10,000 of the training part, picked by their names.

References
----------
Russakovsky et al., "ImageNet large scale visual recognition challenge", Int. J. Comput. Vis. 115, 2015,
doi:10.1007/s11263-015-0816-y.
Baugh et al., "Many tasks make light work", MICCAI 2023, doi:10.1007/978-3-031-43907-0_16 (as donors).
"""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from synthanom.errors import SynthanomError
from synthanom.volumes.volume import Source
from synthanom_builders.cases import Case, image_of
from synthanom_builders.folder import Listing
from synthanom_builders.named import NamedDataSet, below
from synthanom_builders.picture_steps import equalised
from synthanom_builders.settings import BuildSettings

PLACES = ("ILSVRC/Data/CLS-LOC/train", "train")
REMEDY = "name the folder that holds the training part, a folder for each class (n01440764, ...)"
COUNT = 10_000
ENDINGS = (".jpeg", ".jpg", ".png")


def list_cases(raw: Path, out: Path, settings: BuildSettings) -> Listing:
    """List the photographs whose names' digests are the smallest: the same ones on every machine.

    Raises
    ------
    SynthanomError
        If the folder is missing or holds no photograph.
    """
    del out, settings
    place = below(raw, PLACES, REMEDY)
    names = sorted(_photographs(place))
    if not names:
        raise SynthanomError(f"{place}: no photograph found in its folders; {REMEDY}")
    chosen = sorted(sorted(names, key=lambda name: hashlib.sha256(name.encode()).digest())[:COUNT])
    within = place.relative_to(raw).as_posix()
    sources = [Source(id=f"{within}/{name}", files=(place / name,), format="picture") for name in chosen]
    images = [image_of(source, raw) for source in sources]
    cases = tuple(Case(id=image.id, subject=image.id, images=(image,)) for image in images)
    return Listing(cases=cases, contrasts=(), notes=(f"photographs: {len(cases)} of {len(names)}, picked by name",))


def _photographs(place: Path) -> Iterator[str]:
    """Paths relative to the classes' folder; no link is followed."""
    for entry in os.scandir(place):
        if entry.is_dir(follow_symlinks=False):
            for file in os.scandir(entry.path):
                if file.name.lower().endswith(ENDINGS) and file.is_file(follow_symlinks=False):
                    yield f"{entry.name}/{file.name}"


DATA_SETS = {"imagenet": NamedDataSet(shape=(256, 256), list_cases=list_cases, pipeline=equalised, grey=True)}
