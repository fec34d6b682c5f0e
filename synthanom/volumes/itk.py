"""Reading NRRD and MetaImage with SimpleITK."""

import re
from pathlib import Path
from typing import Any

import numpy as np

from synthanom.errors import SynthanomError
from synthanom.volumes.volume import Volume, check_size, make_volume, unreadable

LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
HEADER_BYTES = 1 << 16
DATA_FILE = re.compile(rb"^(?:ElementDataFile\s*=|data ?file\s*:)[ \t]*([^\r\n]*)", re.MULTILINE | re.IGNORECASE)


def read_itk(path: Path) -> Volume:
    """Read a 2D or 3D grey image; the direction is turned from ITK's LPS to RAS.

    Raises
    ------
    SynthanomError
        Naming the file: unreadable, more than one component or time point, data in a file outside its folder.
    """
    import SimpleITK

    sitk: Any = SimpleITK
    _check_data_file(path)
    try:
        reader = sitk.ImageFileReader()
        reader.SetFileName(str(path))
        reader.ReadImageInformation()
    except Exception as error:  # SimpleITK throws RuntimeError; whatever it is, it is the file's fault
        raise unreadable(path, error) from error
    size = tuple(int(s) for s in reader.GetSize())
    if reader.GetNumberOfComponents() != 1:
        raise SynthanomError(
            f"{path}: one value per voxel is needed, got {reader.GetNumberOfComponents()} components; "
            "save the one that is meant"
        )
    if "complex" in sitk.GetPixelIDValueAsString(reader.GetPixelID()).lower():
        raise SynthanomError(f"{path}: real values are needed, got complex voxels; save the magnitude instead")
    if len(size) not in (2, 3):
        raise SynthanomError(f"{path}: a 2D or 3D image is needed, got size {size}; extract one volume first")
    check_size(size, 8, path)
    try:
        image = reader.Execute()
    except Exception as error:
        raise unreadable(path, error, what="its voxels cannot be read") from error
    return make_volume(sitk.GetArrayFromImage(image), path, kind="volume", affine=_affine(image))


def _affine(image: Any) -> Any:
    """The (4, 4) RAS affine of a 2D or 3D ITK image; a 2D image lies in the plane of the first two axes."""
    dims = image.GetDimension()
    matrix = np.eye(4)
    direction = np.array(image.GetDirection()).reshape(dims, dims)
    matrix[:dims, :dims] = direction * np.array(image.GetSpacing())
    matrix[:dims, 3] = image.GetOrigin()
    return LPS_TO_RAS @ matrix


def _check_data_file(path: Path) -> None:
    """Refuse a header that points at pixels outside its own folder (a header is data, and must not choose files)."""
    try:
        with path.open("rb") as stream:
            head = stream.read(HEADER_BYTES)
    except OSError as error:
        raise unreadable(path, error) from error
    for match in DATA_FILE.finditer(head.split(b"\n\n")[0] if head.startswith(b"NRRD") else head):
        name = match.group(1).strip().decode("utf-8", errors="replace")
        if name.startswith(("LIST", "SKIPLIST")) or "/" in name or "\\" in name:
            raise SynthanomError(
                f"{path}: pixels must lie in one file beside the header, got {name!r}; "
                "rewrite it as one file, for example with SimpleITK.WriteImage"
            )
