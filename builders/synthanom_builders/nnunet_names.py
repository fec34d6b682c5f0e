"""What an nnU-Net data set calls its channels, by `dataset.json`."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

NAME = "dataset.json"
ENTRIES = ("channel_names", "modality")  # as version 2 and version 1 call it


def channel_names(raw: Path, numbers: Sequence[str]) -> tuple[tuple[str, ...], str]:
    """A name for every channel, or none at all where the file does not give distinct ones; and a line that says which.

    Parameters
    ----------
    numbers : sequence of str
        The channels as the files have them, such as ``0000``.
    """
    shown = f"channels: {', '.join(numbers)}"
    path = raw / NAME
    if not path.is_file():
        return (), shown
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        # the names are only for people: a set is built as well without them
        return (), f"{shown} ({NAME} cannot be read: {' '.join(str(error).split())})"
    names = _names(content, numbers)
    if not names:
        return (), f"{shown} ({NAME} does not give each of them a name of its own)"
    return names, f"channels: {', '.join(f'{k} ({name})' for k, name in zip(numbers, names, strict=True))}"


def _names(content: Any, numbers: Sequence[str]) -> tuple[str, ...]:
    """The names in the order of the numbers; empty unless there is a distinct one for each."""
    entries = content if isinstance(content, dict) else {}
    table: dict[str, Any] = next((entries[name] for name in ENTRIES if isinstance(entries.get(name), dict)), {})
    named = [table.get(str(int(number))) for number in numbers]
    names = tuple(name.strip() for name in named if isinstance(name, str) and name.strip())
    distinct = len({name.lower() for name in names}) == len(numbers)
    return names if distinct and len(names) == len(numbers) else ()
