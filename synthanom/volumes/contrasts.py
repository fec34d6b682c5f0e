"""Several contrasts as channels: a regular expression says which part of a path names the contrast."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from synthanom.errors import SynthanomError

SEPARATORS = "_-. "


class Listed(Protocol):
    """An image in a folder, as grouping and pairing see it."""

    @property
    def id(self) -> str:
        """Unique in the folder; the start of `path` where only an extension was cut off."""

    @property
    def path(self) -> str:
        """Relative to the folder, with forward slashes; of a DICOM series of several files its id."""


L = TypeVar("L", bound=Listed)


@dataclass(frozen=True, kw_only=True)
class Group(Generic[L]):
    """Images whose paths agree in everything but the contrast.

    Attributes
    ----------
    id : str
    images : tuple
        In channel order; those of a missing contrast left out.
    problem : str
        Says which contrasts are missing; empty if none is.
    """

    id: str
    images: tuple[L, ...]
    problem: str = ""


@dataclass(frozen=True, kw_only=True)
class Grouped(Generic[L]):
    """Images grouped into cases.

    Attributes
    ----------
    groups : tuple of Group
        One per case, ordered by id.
    contrasts : tuple of str
        One per channel, in channel order.
    unmatched : tuple of str
        Paths that the pattern does not match, left out.
    """

    groups: tuple[Group[L], ...]
    contrasts: tuple[str, ...]
    unmatched: tuple[str, ...]


def grouped(
    images: Sequence[L], pattern: str, contrasts: tuple[str, ...] = (), *, option: str = "--channels"
) -> Grouped[L]:
    """Group images whose paths agree in everything but the contrast.

    Parameters
    ----------
    images : sequence, not empty
    pattern : str
        Regular expression, searched in each path. Its group named ``contrast``, else its first, captures the
        contrast's name. Channels come in the order of the group's alternatives (``T1|T2``) where it lists them, else
        sorted by name.
    contrasts : tuple of str
        Where they are settled already: all contrasts in channel order. Images of others count as unmatched.
    option : str
        What messages call the pattern.

    Raises
    ------
    SynthanomError
        If the pattern is no regular expression with a group, matches nothing, names a contrast that no file shows, or
        two files would be the same contrast of one case.
    """
    found, unmatched = _matched(images, pattern, contrasts, option)
    if not found:
        among = f" as one of {', '.join(contrasts)}" if contrasts else ""
        raise SynthanomError(
            f"{option} {pattern!r} must match the path of at least one image{among}, got no match among {len(images)}, "
            f"for example {images[0].path!r}; give another pattern with --channels"
        )
    order = contrasts or _settled({name for shown in found.values() for name in shown}, pattern, option)
    ids = _ids(list(found))
    groups = []
    for key, shown in found.items():
        missing = ", ".join(name for name in order if name not in shown)
        problem = f"contrast {missing} is missing; add the file or change --channels" if missing else ""
        groups.append(Group(id=ids[key], images=tuple(shown[n] for n in order if n in shown), problem=problem))
    groups.sort(key=lambda group: group.id)
    return Grouped(groups=tuple(groups), contrasts=order, unmatched=tuple(unmatched))


def shown_contrasts(images: Sequence[Listed], pattern: str, *, option: str = "--channels") -> set[str]:
    """The contrasts that a pattern finds, whatever they are.

    Raises
    ------
    SynthanomError
        As `grouped`, but finding nothing is no error.
    """
    found, _ = _matched(images, pattern, (), option)
    return {name for shown in found.values() for name in shown}


def _matched(
    images: Sequence[L], pattern: str, contrasts: tuple[str, ...], option: str
) -> tuple[dict[str, dict[str, L]], list[str]]:
    """Key (the path around the contrast, no extension) -> contrast -> image; and the paths without a match."""
    expression = _compiled(pattern, option)
    group: str | int = "contrast" if "contrast" in expression.groupindex else 1
    found: dict[str, dict[str, L]] = {}
    unmatched = []
    for image in images:
        match = expression.search(image.path)
        name = None if match is None else match.group(group)
        if match is None or name is None or (contrasts and name not in contrasts):
            unmatched.append(image.path)
            continue
        start, end = match.span(group)
        extension = image.path[len(image.id) :] if image.path.startswith(image.id) else ""
        key = (image.path[:start] + "\0" + image.path[end:]).removesuffix(extension)
        earlier = found.setdefault(key, {}).setdefault(name, image)
        if earlier is not image:
            raise SynthanomError(
                f"{image.path} and {earlier.path} are the same contrast of one case under {option} {pattern!r}; "
                "remove one of them or narrow the pattern"
            )
    return found, unmatched


def _compiled(pattern: str, option: str) -> re.Pattern[str]:
    try:
        expression = re.compile(pattern)
    except re.error as error:
        raise SynthanomError(f"{option} {pattern!r} must be a regular expression, got '{error}'; correct it") from error
    if expression.groups < 1:
        raise SynthanomError(
            f"{option} {pattern!r} must have a group that captures the contrast, got none; "
            "for example --channels '_(T1|T2)\\.nii'"
        )
    return expression


def _settled(shown: set[str], pattern: str, option: str) -> tuple[str, ...]:
    """The contrasts in the order of the group's alternatives where those are plain words, else sorted."""
    body = re.search(r"\(\?P<contrast>([^()]*)\)", pattern) or re.search(r"\((?!\?)([^()]*)\)", pattern)
    alternatives = [] if body is None else body[1].split("|")
    if not alternatives or not shown <= set(alternatives):
        return tuple(sorted(shown))
    absent = [name for name in alternatives if name not in shown]
    if absent:
        raise SynthanomError(
            f"{option} {pattern!r} names the contrast {absent[0]!r}, which no file shows; add its files or leave it "
            "out of the pattern"
        )
    return tuple(dict.fromkeys(alternatives))


def _ids(keys: Sequence[str]) -> dict[str, str]:
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
