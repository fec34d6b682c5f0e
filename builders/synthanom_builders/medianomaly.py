"""MedIAnomaly: the field's common benchmark, those of its sets that come as `images/` with a `data.json`.

References
----------
Cai et al., "MedIAnomaly: a comparative study of anomaly detection in medical images", Med. Image Anal. 2025,
doi:10.1016/j.media.2025.103500.
"""

import json
from pathlib import Path

from synthanom.errors import SynthanomError
from synthanom.volumes.discover import format_of
from synthanom.volumes.volume import Source
from synthanom_builders.cases import Case, image_of
from synthanom_builders.folder import Listing
from synthanom_builders.named import NamedDataSet, below
from synthanom_builders.picture_steps import resized
from synthanom_builders.settings import BuildSettings

LIST = "data.json"
REMEDY = "name the folder of one set (RSNA, VinCXR, BrainTumor, LAG) that holds 'images' and 'data.json'"


def list_cases(raw: Path, out: Path, settings: BuildSettings) -> Listing:
    """List the healthy training images that `data.json` names.

    Raises
    ------
    SynthanomError
        If a file is missing, or the list is not what it should be.
    """
    del out, settings
    place = below(raw, ("images",), REMEDY)
    names = training_names(raw / LIST)
    cases = [_case(raw, place, name) for name in names]
    return Listing(cases=tuple(cases), contrasts=(), notes=(f"healthy training images of {LIST}: {len(cases)}",))


def training_names(path: Path) -> list[str]:
    """File names of the healthy training images, sorted.

    Raises
    ------
    SynthanomError
        If the file is missing or has no such list, or names a file elsewhere.
    """
    if not path.is_file():
        raise SynthanomError(f"{path}: the list of images is missing; {REMEDY}")
    try:
        names = json.loads(path.read_text(encoding="utf-8"))["train"]["0"]
        found = sorted({str(name) for name in names})
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SynthanomError(
            f"{path}: must be JSON with a list of file names under train/0, got {type(error).__name__}: {error}"
        ) from error
    for name in found:
        # a list is data: it may not lead out of the folder
        if Path(name).name != name or name in (".", ".."):
            raise SynthanomError(f"{path}: must name files in 'images' only, got {name!r}; correct the list")
    if not found:
        raise SynthanomError(f"{path}: must name at least one image under train/0, got none; is it the right set?")
    return found


def _case(raw: Path, place: Path, name: str) -> Case:
    file = place / name
    kind = format_of(file) if file.is_file() else None
    if kind is None:
        what = "is not an image" if file.exists() else "is missing"
        raise SynthanomError(f"{file}: this image of {LIST} {what}; complete the download")
    identity = f"{place.relative_to(raw).as_posix()}/{name}"
    image = image_of(Source(id=identity, files=(file,), format=kind), raw)
    return Case(id=identity, subject=identity, images=(image,))


DATA_SETS = {"medianomaly": NamedDataSet(shape=(256, 256), list_cases=list_cases, pipeline=resized, grey=True)}
