"""Reading PNG and JPEG with Pillow."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from synthanom.errors import SynthanomError
from synthanom.volumes.reading import AS_STORED, Reading, luminance
from synthanom.volumes.volume import Volume, check_size, make_volume, unreadable

GREY_TOLERANCE = 2  # of 255; JPEG stores grey as luma and chroma and comes back this far off
GREY_MODES = frozenset({"1", "L", "I", "F", "I;16", "I;16B", "I;16L", "I;16N"})


def read_picture(path: Path, reading: Reading = AS_STORED) -> Volume:
    """Read a grey picture in its full depth, turned as its EXIF orientation asks (as every viewer shows it).

    Colour is accepted where its channels agree within 2 of 255, or `reading` asks for its luminance; nothing may be
    transparent.

    Raises
    ------
    SynthanomError
        Naming the file: unreadable or truncated, colour, transparency, several frames.
    """
    from PIL import Image, ImageOps

    try:
        with warnings.catch_warnings():
            # Pillow warns from 89 million pixels on; the limit here is check_size's
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            picture = Image.open(path, formats=("PNG", "JPEG"))
    except Exception as error:  # whatever a reader library throws at a broken file is the file's fault
        raise unreadable(path, error) from error
    with picture:
        check_size(picture.size[::-1], 4, path)
        _check_depth(path, picture)
        try:
            picture.load()
            shown: Any = ImageOps.exif_transpose(picture)
        except Exception as error:
            raise unreadable(path, error, what="its pixels cannot be read") from error
        return make_volume(_grey(shown, path, reading), path, kind="picture")


def _check_depth(path: Path, picture: Any) -> None:
    """Refuse what Pillow would read with a loss: several frames, 16 bits per channel of colour."""
    if getattr(picture, "n_frames", 1) > 1:
        raise SynthanomError(f"{path}: one picture per file is read, got {picture.n_frames} frames; extract one")
    with path.open("rb") as stream:
        head = stream.read(26)
    if picture.format == "PNG" and head[24] == 16 and head[25] != 0:  # bit depth and colour type of the IHDR chunk
        raise SynthanomError(f"{path}: 16-bit colour or transparency is not read; save it as 16-bit grey")


def _grey(picture: Any, path: Path, reading: Reading) -> npt.NDArray[Any]:
    """The grey values (Y, X) of a loaded Pillow image."""
    if picture.mode in GREY_MODES:
        return np.asarray(picture).astype(np.float32)
    if picture.mode == "CMYK" and not reading.grey:
        raise SynthanomError(f"{path}: a grey picture is needed, got CMYK; turn it into grey with --grey")
    channels = np.asarray(picture.convert("RGBA"))
    if channels[..., 3].min() < 255:
        raise SynthanomError(f"{path}: the picture must be opaque; flatten it onto a background and save it as grey")
    colours = channels[..., :3].astype(np.int16)
    if reading.grey:
        return luminance(channels)
    spread = int((colours.max(axis=-1) - colours.min(axis=-1)).max())
    if spread > GREY_TOLERANCE:
        raise SynthanomError(
            f"{path}: a grey picture is needed, its colour channels differ by up to {spread} of 255; "
            "turn it into grey with --grey, or with PIL.Image.open(...).convert('L')"
        )
    return np.asarray(colours.mean(axis=-1, dtype=np.float32))
