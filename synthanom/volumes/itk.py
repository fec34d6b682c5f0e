"""Reading NRRD and MetaImage with SimpleITK."""

import re
from pathlib import Path
from typing import Any

import numpy as np

from synthanom.errors import SynthanomError
from synthanom.volumes.reading import AS_STORED, Reading, luminance
from synthanom.volumes.volume import Volume, check_data_file, check_size, make_volume, shown, unreadable

LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
HEADER_BYTES = 1 << 16
DATA_FILE = re.compile(rb"^(?:ElementDataFile\s*=|data ?file\s*:)[ \t]*([^\r\n]*)", re.MULTILINE | re.IGNORECASE)


def read_itk(path: Path, reading: Reading = AS_STORED) -> Volume:
    """Read a 2D or 3D grey image; the direction is turned from ITK's LPS to RAS.

    Raises
    ------
    SynthanomError
        Naming the file: unreadable, several components or volumes unless asked for, data in a file outside its folder.
    """
    import SimpleITK

    sitk: Any = SimpleITK
    _check_data_file(path)
    try:
        reader = sitk.ImageFileReader()
        reader.SetFileName(str(path))
        io = _by_content(path)
        if io:
            reader.SetImageIO(io)
        reader.ReadImageInformation()
    except Exception as error:  # SimpleITK throws RuntimeError; whatever it is, it is the file's fault
        raise unreadable(path, error) from error
    size = tuple(int(s) for s in reader.GetSize())
    components = int(reader.GetNumberOfComponents())
    voxel = sitk.GetPixelIDValueAsString(reader.GetPixelID()).lower()
    if "complex" in voxel:
        raise SynthanomError(f"{path}: real values are needed, got complex voxels; save the magnitude instead")
    colour = components in (3, 4) and "8-bit unsigned" in voxel
    if components != 1 and not (colour and reading.grey):
        way = "turn colour into grey with --grey, or save the one that is meant" if colour else "save the one meant"
        raise SynthanomError(f"{path}: one value per voxel is needed, got {components} components; {way}")
    if len(size) not in (2, 3, 4):
        raise SynthanomError(f"{path}: a 2D or 3D image is needed, got size {size}; extract one volume first")
    if len(size) == 4:
        chosen = reading.chosen(size[3], path, f"a 4D image of size {size}")
        reader.SetExtractIndex([0, 0, 0, chosen])
        reader.SetExtractSize([*size[:3], 0])
        size = size[:3]
    check_size((*size, components), 8, path)
    try:
        image = reader.Execute()
    except Exception as error:
        raise unreadable(path, error, what="its voxels cannot be read") from error
    array = sitk.GetArrayFromImage(image)
    return make_volume(luminance(array) if components > 1 else array, path, kind="volume", affine=_affine(image))


def _by_content(path: Path) -> str:
    """The reader that the first bytes ask for; empty where only the name can tell."""
    with path.open("rb") as stream:
        head = stream.read(16)
    known = {b"NRRD000": "NrrdImageIO", b"ObjectType": "MetaImageIO"}
    return next((name for start, name in known.items() if head.startswith(start)), "")


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
                f"{path}: pixels must lie in one file beside the header, got {shown(name)!r}; "
                "rewrite it as one file, for example with SimpleITK.WriteImage"
            )
        check_data_file(path, path.parent / name)
