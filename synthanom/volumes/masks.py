"""Foreground masks as files beside the images: which files they are and whose."""

import re
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase, translate
from pathlib import PurePosixPath

from synthanom.errors import SynthanomError
from synthanom.volumes.contrasts import SEPARATORS, L, Listed


def is_mask(path: str, pattern: str) -> bool:
    """Whether a path, relative to the folder, is one of the masks; see `split_masks`."""
    return fnmatchcase(path if "/" in pattern else PurePosixPath(path).name, pattern)


def split_masks(images: Sequence[L], pattern: str, option: str = "--foreground") -> tuple[list[L], dict[str, L]]:
    """Tell masks from images.

    Parameters
    ----------
    images : sequence
    pattern : str
        Shell pattern such as ``*_mask.nii.gz`` for file names, or with a slash (``masks/*.png``) for paths relative to
        the folder. What the last star of the file name stands for is the mask's key; without one (``mask.nii.gz``) the
        mask is for all images of its folder.
    option : str
        Where the pattern comes from, for messages.

    Returns
    -------
    images : list
        What is no mask; may be empty.
    masks : dict
        From ``folder/key`` to the mask, for `mask_of`: the folder is empty where the pattern has a slash (any will
        do), the key where the mask is for the whole folder. May be empty.

    Raises
    ------
    SynthanomError
        If two masks share a key.
    """
    left: list[L] = []
    masks: dict[str, L] = {}
    for image in images:
        if not is_mask(image.path, pattern):
            left.append(image)
            continue
        key = _key(image, PurePosixPath(pattern).name)
        folder = "" if "/" in pattern and key else PurePosixPath(image.path).parent.as_posix()
        earlier = masks.setdefault(f"{folder}/{key}", image)
        if earlier is not image:
            raise SynthanomError(
                f"{image.path} and {earlier.path} would be masks of the same images under {option} {pattern!r}; "
                "rename one or narrow the pattern"
            )
    return left, masks


def mask_of(path: str, masks: Mapping[str, L]) -> L | None:
    """The mask with the longest key that an image's name starts with, else its folder's, else None.

    A key ends where the name does, or before a sign that is no letter or digit, so that ``s1`` is not taken for
    ``s10``.

    Parameters
    ----------
    path : str
        Of the image; of several contrasts the first one's.
    masks : mapping
        As `split_masks` gives it.
    """
    whole = PurePosixPath(path)
    folder = whole.parent.as_posix()
    keys = [f"{folder}/", *(f"{where}/{start}" for start in _starts(whole.name) for where in ("", folder))]
    return next((masks[key] for key in reversed(keys) if key in masks), None)


def _key(image: Listed, pattern: str) -> str:
    """What the last star of a file name's pattern stands for, without extension and separators around it."""
    stem, star, tail = pattern.rpartition("*")
    if not star:
        return ""
    name = PurePosixPath(image.path).name
    open_ended = translate(stem).removesuffix("\\Z").removesuffix("\\z")
    match = re.fullmatch(f"{open_ended}(.*){translate(tail)}", name)
    text = "" if match is None else match.group(match.lastindex or 0)
    extension = name[len(PurePosixPath(image.id).name) :]
    return text.removesuffix(extension).strip(SEPARATORS)


def _starts(name: str) -> list[str]:
    """Every start of a file name that ends before a sign that is no letter or digit; shortest first."""
    return [name[:end] for end in range(1, len(name) + 1) if end == len(name) or not name[end].isalnum()]
