"""The nearest of the names that there are, for messages about one that there is not."""

import difflib
from collections.abc import Iterable

CUTOFF = 0.5  # similarity below which a name is not offered: "smooth" is offered "smooth_intensity" (0.55)


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that is most like another one; None where none is like it.

    Upper and lower case are one, and so are hyphens, underscores and spaces.

    Parameters
    ----------
    name : str
    known : iterable of str
    """
    folded: dict[str, str] = {}
    for each in known:
        folded.setdefault(_folded(each), each)
    found = difflib.get_close_matches(_folded(name), folded, n=1, cutoff=CUTOFF)
    return folded[found[0]] if found else None


def meant(name: object, known: Iterable[str], *, before: str = "") -> str:
    """The end of a message about a name that there is not: `; did you mean sink?`, or nothing where none is like it.

    Parameters
    ----------
    name : object
        Of settings anything may come; only text is like a name.
    known : iterable of str
    before : str
        Stands before the name that is offered: `optimiser.` of a setting.
    """
    found = nearest(name, known) if isinstance(name, str) else None
    return "" if found is None else f"; did you mean {before}{found}?"


def _folded(name: str) -> str:
    return name.strip().lower().replace("-", "_").replace(" ", "_")
