"""What a build tells the person at the keyboard: on stderr, with bars where that is a terminal."""

from collections.abc import Iterable, Iterator
from typing import TypeVar

import typer

T = TypeVar("T")


class Progress:
    """Notes as plain lines, and stages as a bar on a terminal or a line each elsewhere."""

    def __init__(self, *, terminal: bool) -> None:
        self._terminal = terminal

    def note(self, text: str) -> None:
        """Print one line."""
        typer.echo(text, err=True)

    def track(self, title: str, items: Iterable[T], total: int) -> Iterator[T]:
        """Pass items through, counting them."""
        if not self._terminal:
            self.note(f"{title}: {total} to do")
            yield from items
            return
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Bar

        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Bar(*columns, console=Console(stderr=True)) as bar:
            task = bar.add_task(title, total=total)
            for item in items:
                bar.advance(task)
                yield item
