"""What an export asks of the form that it writes."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Protocol

from synthanom.exporting.selection import Group


class Writer(Protocol):
    """Writes groups of rows in one form.

    Attributes
    ----------
    threads : int
        In how many threads its rows may be written.
    """

    threads: int

    def there(self, group: Group) -> bool:
        """Whether an earlier run has finished the group as a whole."""

    def writing(self, group: Group) -> AbstractContextManager[Callable[[int], bool]]:
        """What writes the row of a place in the group, and says whether it was there before."""

    def finish(self) -> None:
        """Write what speaks of all groups."""
