"""Several contrasts as channels: a regular expression says which part of a path names the contrast."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from synthanom.errors import SynthanomError
from synthanom_builders.cases import Case, Image

SEPARATORS = "_-. "


@dataclass(frozen=True, kw_only=True)
class Grouped:
    """Images grouped into cases.

    Attributes
    ----------
    cases : tuple of Case
        Ordered by id; the subject is still the id.
    contrasts : tuple of str
        One per channel, in channel order; empty where every image is a case.
    unmatched : tuple of str
        Paths that the pattern does not match, left out.
    """

    cases: tuple[Case, ...]
    contrasts: tuple[str, ...] = ()
    unmatched: tuple[str, ...] = ()


def single(images: Sequence[Image]) -> Grouped:
    """Every image as a case of one channel."""
    return Grouped(cases=tuple(Case(id=image.id, subject=image.id, images=(image,)) for image in images))


def grouped(images: Sequence[Image], pattern: str) -> Grouped:
    """Group images whose paths agree in everything but the contrast.

    Parameters
    ----------
    pattern : str
        Regular expression, searched in the path relative to the raw folder (for a DICOM series of several files in its
        id). Its group named ``contrast``, else its first, captures the contrast's name. Channels come in the order of
        the group's alternatives (``T1|T2``) where it lists them, else sorted by name.

    Raises
    ------
    SynthanomError
        If the pattern is no regular expression with a group, matches nothing, names a contrast that no file shows, or
        two files would be the same contrast of one case.
    """
    found, unmatched = _matched(images, pattern)
    if not found:
        raise SynthanomError(
            f"--channels {pattern!r} must match the path of at least one image, got no match among {len(images)}, "
            f"for example {images[0].path!r}; change the pattern"
        )
    shown = {contrast for by_contrast in found.values() for contrast in by_contrast}
    contrasts = _ordered(pattern, shown)
    absent = [name for name in contrasts if name not in shown]
    if absent:
        raise SynthanomError(
            f"--channels {pattern!r} names the contrast {absent[0]!r}, which no file shows; leave it out of the pattern"
        )
    names = _names(list(found))
    cases = []
    for key, by_contrast in found.items():
        missing = [name for name in contrasts if name not in by_contrast]
        present = tuple(by_contrast[name] for name in contrasts if name in by_contrast)
        problem = f"contrast {', '.join(missing)} is missing; add the file or change --channels" if missing else ""
        cases.append(Case(id=names[key], subject=names[key], images=present, problem=problem))
    cases.sort(key=lambda case: case.id)
    return Grouped(cases=tuple(cases), contrasts=contrasts, unmatched=tuple(unmatched))


def _matched(images: Sequence[Image], pattern: str) -> tuple[dict[str, dict[str, Image]], list[str]]:
    """Key (the path around the contrast, no extension) -> contrast -> image; and the paths without a match."""
    expression = _compiled(pattern)
    group: str | int = "contrast" if "contrast" in expression.groupindex else 1
    found: dict[str, dict[str, Image]] = {}
    unmatched = []
    for image in images:
        match = expression.search(image.path)
        if match is None or match.group(group) is None:
            unmatched.append(image.path)
            continue
        start, end = match.span(group)
        extension = image.path[len(image.id) :] if image.path.startswith(image.id) else ""
        key = (image.path[:start] + "\0" + image.path[end:]).removesuffix(extension)
        earlier = found.setdefault(key, {}).setdefault(match.group(group), image)
        if earlier is not image:
            raise SynthanomError(
                f"{image.path} and {earlier.path} are the same contrast of one case under --channels {pattern!r}; "
                "remove one of them or narrow the pattern"
            )
    return found, unmatched


def _compiled(pattern: str) -> re.Pattern[str]:
    try:
        expression = re.compile(pattern)
    except re.error as error:
        raise SynthanomError(f"--channels {pattern!r} must be a regular expression, got '{error}'") from error
    if expression.groups < 1:
        raise SynthanomError(
            f"--channels {pattern!r} must have a group that captures the contrast, got none; "
            "for example --channels '_(T1|T2)\\.nii'"
        )
    return expression


def _ordered(pattern: str, shown: set[str]) -> tuple[str, ...]:
    """The contrasts in the order of the group's alternatives where those are plain words, else sorted."""
    body = re.search(r"\(\?P<contrast>([^()]*)\)", pattern) or re.search(r"\((?!\?)([^()]*)\)", pattern)
    alternatives = [] if body is None else body[1].split("|")
    if alternatives and shown <= set(alternatives):
        return tuple(dict.fromkeys(alternatives))
    return tuple(sorted(shown))


def _names(keys: Sequence[str]) -> dict[str, str]:
    """Readable ids: the path without the contrast and the separators around it, where that keeps ids apart."""
    tidy = {}
    for key in keys:
        before, after = key.split("\0")
        if after == "" or after[0] in "/" + SEPARATORS:
            before = before.rstrip(SEPARATORS)
        if before == "" or before.endswith("/"):
            after = after.lstrip("/" + SEPARATORS)
        tidy[key] = (before + after).rstrip("/") or "case"
    if len(set(tidy.values())) == len(keys):
        return tidy
    return {key: key.replace("\0", "*") for key in keys}
