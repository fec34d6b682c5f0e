"""Dask clusters as people start them: a scheduler and workers, each a process that leads a session of its own."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

from faulty import HOOK, Scene, Strike, group_members, wait_until

SCHEDULER = (sys.executable, "-m", "distributed.cli.dask_scheduler")
WORKER = (sys.executable, "-m", "distributed.cli.dask_worker")
QUICK = {  # clusters of tests live in one machine, and nobody looks at them
    "DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT": "5s",
    "DASK_DISTRIBUTED__WORKER__DAEMON": "True",
    "DASK_DISTRIBUTED__ADMIN__TICK__LIMIT": "60s",
}


@dataclass
class DaskCluster:
    """A running scheduler, and the workers that were started for it."""

    folder: Path
    address: str
    scheduler: subprocess.Popen
    workers: list[subprocess.Popen] = field(default_factory=list)

    @property
    def orders(self) -> Path:
        """The file that tells workers what is to happen inside them."""
        return self.folder / "orders.json"

    @property
    def journal(self) -> Path:
        """Where the workers write down their steps."""
        return self.folder / "journal"

    @property
    def option(self) -> tuple[str, str]:
        """For a build."""
        return ("--scheduler", self.address)

    def start_worker(
        self,
        *,
        nanny: bool = True,
        threads: int = 1,
        scene: Scene | None = None,
        hook: Path | None = None,
        **variables: str,
    ) -> subprocess.Popen:
        """One more worker process; in a scene, one that faults may happen to (`order`).

        `hook` is a folder whose sitecustomize.py it and its processes run when they start.
        """
        words = [*WORKER, self.address, "--nworkers", "1", "--nthreads", str(threads), "--no-dashboard"]
        words += ["--nanny" if nanny else "--no-nanny", "--local-directory", str(self.folder)]
        environment = {**os.environ, **QUICK, **variables}
        if scene is not None:
            self.order(Strike())
            fault = {"out": str(scene.out), "raw": str(scene.raw), "journal": str(self.journal), "clock": None}
            environment["FAULT"] = json.dumps({**fault, "orders": str(self.orders)})
            hook = HOOK
        if hook is not None:
            environment["PYTHONPATH"] = os.pathsep.join([str(hook), *filter(None, [os.environ.get("PYTHONPATH")])])
        worker = _started(words, self.folder / f"worker-{len(self.workers)}.txt", environment)
        self.workers.append(worker)
        return worker

    def order(self, strike: Strike) -> None:
        """What is to happen in the workers of the scene from now on."""
        for name in (self.journal, Path(f"{self.journal}.here"), Path(f"{self.journal}.go")):
            name.unlink(missing_ok=True)
        text = json.dumps(asdict(strike))
        new = self.orders.with_suffix(".new")
        new.write_text(text)
        new.replace(self.orders)

    def paused(self) -> bool:
        """Wait until a worker waits before the ordered step; whether one does."""
        return wait_until(Path(f"{self.journal}.here").exists, seconds=60)

    def let_go(self) -> None:
        """Send the waiting worker on."""
        Path(f"{self.journal}.go").touch()

    def processes(self) -> list[int]:
        """The processes that do the work: those that a nanny started, or the workers themselves."""
        found = []
        for worker in self.workers:
            members = group_members(worker.pid)
            inner = [one for one in members if one != worker.pid and b"spawn_main" in _words(one)]
            found += inner or members
        return found

    def end_workers(self) -> None:
        """Kill the workers, with all that they started."""
        for worker in self.workers:
            _kill(worker)
        self.workers.clear()

    def said(self) -> str:
        """What the scheduler and the workers printed."""
        return "\n".join(path.read_text() for path in sorted(self.folder.glob("*.txt")))


@contextmanager
def dask_cluster(folder: Path, variables: Mapping[str, str] | None = None) -> Iterator[DaskCluster]:
    """A scheduler without workers, and in the end none of its processes."""
    folder.mkdir(parents=True, exist_ok=True)
    found = folder / "scheduler.json"
    words = [*SCHEDULER, "--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--scheduler-file", str(found)]
    scheduler = _started(words, folder / "scheduler.txt", {**os.environ, **QUICK, **(variables or {})})
    cluster = DaskCluster(folder=folder, address="", scheduler=scheduler)
    try:
        assert wait_until(lambda: _address(found) != "", seconds=60), cluster.said()
        cluster.address = _address(found)
        yield cluster
    finally:
        cluster.end_workers()
        _kill(scheduler)


def _started(words: list[str], log: Path, environment: Mapping[str, str]) -> subprocess.Popen:
    with log.open("w") as file:
        return subprocess.Popen(
            words, stdout=file, stderr=file, stdin=subprocess.DEVNULL, start_new_session=True, env=dict(environment)
        )


def _address(path: Path) -> str:
    try:
        return str(json.loads(path.read_text())["address"])
    except (OSError, ValueError, KeyError):
        return ""


def _words(process: int) -> bytes:
    try:
        return Path(f"/proc/{process}/cmdline").read_bytes()
    except OSError:
        return b""


def _kill(process: subprocess.Popen) -> None:
    for member in {process.pid, *group_members(process.pid)}:
        try:
            os.kill(member, signal.SIGKILL)
        except ProcessLookupError:
            continue
    process.wait(timeout=30)
