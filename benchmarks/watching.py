"""How much memory a process and its descendants take while they run."""

import threading
from pathlib import Path

WATCH_SECONDS = 0.5


class Watch(threading.Thread):
    """The most memory that a process and its descendants take together (shared pages counted once)."""

    def __init__(self, process: int) -> None:
        super().__init__(daemon=True)
        self.most = 0
        self._process, self._done = process, threading.Event()

    def run(self) -> None:
        while not self._done.wait(WATCH_SECONDS):
            self.most = max(self.most, sum(map(_proportional, family(self._process))))

    def stop(self) -> None:
        self._done.set()
        self.join()


def family(process: int) -> list[int]:
    """The process and its descendants; none where there is no /proc."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
        except OSError:  # it ended meanwhile
            continue
    found = [process]
    for member in found:  # grows while it is walked
        found += [child for child, parent in parents.items() if parent == member]
    return found


def _proportional(process: int) -> int:
    """Bytes of its own pages and its share of those it shares."""
    try:
        text = Path(f"/proc/{process}/smaps_rollup").read_text()
    except OSError:
        return 0
    return next(int(line.split()[1]) * 1024 for line in text.splitlines() if line.startswith("Pss:"))
