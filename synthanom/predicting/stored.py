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
    masks : str or None
        As `synthanom.volumes.masks.split_masks` takes it.
    """

    channels: str | None = None
    contrasts: tuple[str, ...] = ()
    masks: str | None = None


def remembered(preprocessing: Mapping[str, Any], channels: int) -> Remembered:
    """The patterns that lie beside the steps of a model's preprocessing.

    Parameters
    ----------
    preprocessing : mapping
        Of the model's card: ``channels`` with ``pattern`` and ``contrasts``, ``masks`` with ``pattern``; each may be
        left out.
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
    contrasts = grouping.get("contrasts") if isinstance(grouping, dict) else None
    if not isinstance(contrasts, list) or not all(isinstance(name, str) for name in contrasts):
        raise _edited("channels", "a list of contrasts", grouping)
    if len(set(contrasts)) != channels or len(contrasts) != channels:
        raise _edited("channels", f"{channels} contrasts, as many as the model's channels,", grouping)
    # a data set known by name has contrasts but no pattern: its files' names say nothing about other scans'
    pattern = _pattern(grouping, "channels") if "pattern" in grouping else None
    return Remembered(channels=pattern, contrasts=tuple(contrasts), masks=_pattern(masking, "masks"))


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
