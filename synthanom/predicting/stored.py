"""What a model remembers of how its data set's files were told apart: contrasts and foreground masks."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from synthanom.errors import SynthanomError


@dataclass(frozen=True, kw_only=True)
class Remembered:
    """Patterns that the data set was built with.

    Attributes
    ----------
    channels : str or None
        As `synthanom.volumes.contrasts.grouped` takes it.
    contrasts : tuple of str
        One per channel of the model, in channel order; empty where they have no names.
    names : tuple of str
        What the contrasts are called where files only number them, in channel order; may be empty.
    masks : str or None
        As `synthanom.volumes.masks.split_masks` takes it.
    """

    channels: str | None = None
    contrasts: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    masks: str | None = None


def remembered(preprocessing: Mapping[str, Any], channels: int) -> Remembered:
    """The patterns that lie beside the steps of a model's preprocessing.

    Parameters
    ----------
    preprocessing : mapping
        Of the model's card: ``channels`` with ``pattern``, ``contrasts`` and ``names``, ``masks`` with ``pattern``;
        each but ``contrasts`` may be left out.
    channels : int
        Of the model.

    Raises
    ------
    SynthanomError
        If an entry is something else.
    """
    grouping, masking = preprocessing.get("channels"), preprocessing.get("masks")
    if grouping is None:
        return Remembered(masks=_pattern(masking, "masks"))
    contrasts = _words(grouping, "contrasts", channels)
    names = _words(grouping, "names", channels) if "names" in grouping else ()
    # a data set known by name has contrasts but no pattern: its files' names say nothing about other scans'
    pattern = _pattern(grouping, "channels") if "pattern" in grouping else None
    return Remembered(channels=pattern, contrasts=contrasts, names=names, masks=_pattern(masking, "masks"))


def _words(grouping: Any, key: str, channels: int) -> tuple[str, ...]:
    """One distinct word per channel."""
    words = grouping.get(key) if isinstance(grouping, dict) else None
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise _edited("channels", f"a list of {key}", grouping)
    if len(set(words)) != channels or len(words) != channels:
        raise _edited("channels", f"{channels} {key}, as many as the model's channels,", grouping)
    return tuple(words)


def _pattern(entry: Any, name: str) -> str | None:
    if entry is None:
        return None
    pattern = entry.get("pattern") if isinstance(entry, dict) else None
    if not isinstance(pattern, str) or not pattern:
        raise _edited(name, "a pattern", entry)
    return pattern


def _edited(name: str, wanted: str, entry: Any) -> SynthanomError:
    return SynthanomError(
        f"the model's preprocessing must have {wanted} in {name!r}, got {str(entry)[:120]!r}; model.json was edited or "
        "damaged: copy it again"
    )
