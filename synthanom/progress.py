"""What a long run tells the person at the keyboard, on stderr, and its log."""

import os
import sys
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol, TypeVar

from synthanom.pace import Pace
from synthanom.run_log import RunLog

if TYPE_CHECKING:
    from rich.table import Table

T = TypeVar("T")
SHOWN_AFTER = 2.0  # seconds: a bar for less only flashes
PER_SECOND = 4  # times that a bar is drawn
BAR_WIDTH = 16


class Track(Protocol):
    """Passes items through, and shows how many of how many have passed: what functions that take long are given."""

    def __call__(self, title: str, items: Iterable[T], total: int) -> Iterator[T]:
        """Yield the items; each counts as done when the next is asked for."""


def untold(title: str, items: Iterable[T], total: int) -> Iterator[T]:
    """Pass items through without a word: the `Track` of callers that want to see nothing."""
    yield from items


def on_terminal() -> bool:
    """Whether stderr is a terminal on which a line can be drawn again."""
    return sys.stderr.isatty() and os.environ.get("TERM") != "dumb"


def shown() -> "Progress":
    """For a command without a log: bars where stderr is a terminal, else nothing."""
    return Progress(terminal=on_terminal())


def silent() -> "Progress":
    """For callers that want to see nothing."""
    return Progress(terminal=False, heard=False)


class Progress:
    """Notes as plain lines, and stages as a bar on a terminal.

    Parameters
    ----------
    terminal : bool
        Whether bars are drawn.
    announce : bool
        Elsewhere, whether a line says that a stage begins.
    log : RunLog, optional
        Is told notes, stages and `record`.
    heard : bool
        Whether anything is said at all.
    """

    def __init__(
        self, *, terminal: bool, announce: bool = False, log: RunLog | None = None, heard: bool = True
    ) -> None:
        self._terminal = terminal
        self._announce = announce
        self._log = log or RunLog(None, self.tell)
        self._bar: _Bar | None = None
        self._heard = heard

    def note(self, text: str) -> None:
        """Say one line, and log it."""
        self.tell(text)
        self._log.line(text)

    def record(self, text: str) -> None:
        """Log one line."""
        self._log.line(text)

    def tell(self, text: str) -> None:
        """Say one line, above the bar if there is one."""
        if self._heard and (self._bar is None or not self._bar.say(text)):
            try:
                sys.stderr.write(f"{text}\n")
                sys.stderr.flush()
            except BrokenPipeError:  # nobody listens any more: no reason to stop the work
                self._heard = False

    def answer(self, text: str) -> None:
        """Print one line of what the command answers to stdout, above the bar where both are on the terminal."""
        if self._bar is None or not sys.stdout.isatty() or not self._bar.say(text):
            sys.stdout.write(f"{text}\n")
            sys.stdout.flush()

    def track(self, title: str, items: Iterable[T], total: int, *, unit: str = "") -> Iterator[T]:
        """Pass items through, counting them; `unit` says what they are."""
        with self.stage(title, total, unit=unit) as pace:
            for item in items:
                yield item
                pace.passed()

    @contextmanager
    def stage(self, title: str, total: int, *, unit: str = "") -> Iterator[Pace]:
        """Show how far a stage is, by what its pace is told during the block."""
        self._log.begin()
        self.record(f"begun: {title}: {total} to do")
        if self._announce and not self._terminal:
            self.tell(f"{title}: {total} to do")
        pace = Pace(total, unit)
        self._bar = _Bar(title, pace) if self._terminal else None
        try:
            yield pace
        finally:
            if self._bar is not None:
                self._bar.end()
            self._bar = None
            how = f", {pace.overall}" if pace.overall else ""
            word = "ended" if pace.done >= total else "stopped"
            self.record(f"{word}: {title}: {pace.done} of {total} in {pace.elapsed:.1f} s{how}")


class _Bar:
    """A line on a terminal that is drawn again and again, from when the stage has lasted a while."""

    def __init__(self, title: str, pace: Pace) -> None:
        # here and not in the thread below: training forks, and a fork must not find half an import
        from rich.console import Console
        from rich.live import Live

        self._title, self._pace = title, pace
        self._live = Live(
            console=Console(stderr=True),
            get_renderable=self._drawn,
            refresh_per_second=PER_SECOND,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._lock = threading.Lock()
        self._over = False
        self._timer = threading.Timer(SHOWN_AFTER, self._begin)
        self._timer.daemon = True
        self._timer.start()

    def say(self, text: str) -> bool:
        """Print a line above the bar; False if none is drawn yet."""
        with self._lock:
            if self._live.is_started:
                self._live.console.print(text, markup=False, highlight=False, soft_wrap=True)
            return self._live.is_started

    def end(self) -> None:
        """Leave the line as it is now."""
        self._timer.cancel()
        with self._lock:
            self._over = True
            self._live.stop()

    def _begin(self) -> None:
        with self._lock:
            if not self._over:
                self._live.start()

    def _drawn(self) -> "Table":
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        line = Table.grid(padding=(0, 2))
        line.add_column(no_wrap=True, overflow="ellipsis")
        line.add_column()
        line.add_column(no_wrap=True, min_width=len(str(self._pace)))
        bar = ProgressBar(total=max(1, self._pace.total), completed=self._pace.done, width=BAR_WIDTH)
        line.add_row(Text(self._title), bar, Text(str(self._pace)))
        return line
