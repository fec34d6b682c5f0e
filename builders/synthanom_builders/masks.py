"""Foreground masks as files beside the images: which files they are and whose."""

import re
from collections.abc import Sequence
from dataclasses import replace
from fnmatch import fnmatchcase, translate
from pathlib import PurePosixPath

from synthanom.errors import SynthanomError
from synthanom_builders.cases import Case, Image, with_problem

NO_MASK = "no foreground mask matches it; add one, change --foreground, or leave the image out"
SEPARATORS = "_-. "


def split_masks(images: Sequence[Image], pattern: str) -> tuple[list[Image], dict[str, Image]]:
    """Tell masks from images.

    Parameters
    ----------
    pattern : str
        Shell pattern such as ``*_mask.nii.gz`` for file names, or with a slash (``masks/*.png``) for paths relative to
        the raw folder. What the last star of the file name stands for is the mask's key; without one
        (``mask.nii.gz``) the mask is for all images of its folder.

    Returns
    -------
    images : list of Image
    masks : dict
        From ``folder/key`` to the mask: the folder is empty where the pattern has a slash (any will do), the key where
        the mask is for the whole folder.

    Raises
    ------
    SynthanomError
        If nothing matches, only masks are left, or two masks share a key.
    """
    left: list[Image] = []
    masks: dict[str, Image] = {}
    for image in images:
        path = PurePosixPath(image.path)
        if not fnmatchcase(image.path if "/" in pattern else path.name, pattern):
            left.append(image)
            continue
        key = _key(image, PurePosixPath(pattern).name)
        folder = "" if "/" in pattern and key else path.parent.as_posix()
        earlier = masks.setdefault(f"{folder}/{key}", image)
        if earlier is not image:
            raise SynthanomError(
                f"{image.path} and {earlier.path} would be masks of the same images under --foreground {pattern!r}; "
                "rename one or narrow the pattern"
            )
    if not masks or not left:
        what = "no file" if not masks else "every image"
        raise SynthanomError(
            f"--foreground {pattern!r} must be nonzero, otsu, none, or a pattern that matches the masks only, got "
            f"{what} matched; for example --foreground '*_mask.nii.gz'"
        )
    return left, masks


def with_masks(cases: Sequence[Case], masks: dict[str, Image]) -> tuple[list[Case], int]:
    """Give every case the mask with the longest key that its first image's name starts with, else its folder's.

    A key ends where the name does, or before a sign that is no letter or digit, so that ``s1`` is not taken for
    ``s10``. Cases without a mask are marked. The number says how many masks belong to no case.
    """
    used = set()
    named = []
    for case in cases:
        path = PurePosixPath(case.path)
        folder = path.parent.as_posix()
        keys = [f"{folder}/", *(f"{where}/{start}" for start in _starts(path.name) for where in ("", folder))]
        best = next((key for key in reversed(keys) if key in masks), None)
        if best is not None:
            used.add(best)
            named.append(replace(case, mask=masks[best]))
        else:
            named.append(case if case.problem else with_problem(case, NO_MASK))
    return named, len(masks) - len(used)


def _key(image: Image, pattern: str) -> str:
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
