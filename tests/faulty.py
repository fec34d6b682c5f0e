"""Builds that something happens to: struck, looked at, gone on with, and compared with one that nothing happened to."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from building import COMMAND, Ran, build, listing, write_pictures
from running import SYNTHANOM

HOOK = Path(__file__).parent / "fault_hook"
SECONDS = 120.0  # that any one process may take
TINY = ("--variants", "6", "--tasks", "sink,smooth_intensity", "--folds", "2")


@dataclass(frozen=True, kw_only=True)
class Way:
    """How a build is run.

    Attributes
    ----------
    name : str
    arguments : tuple of str
        Added to the command.
    prefix : tuple of str
        Put before it.
    then : tuple of commands
        Run afterwards, ``{raw}`` and ``{out}`` being the folders, where the command alone does not finish.
    """

    name: str = "two workers"
    arguments: tuple[str, ...] = ("--workers", "2")
    prefix: tuple[str, ...] = ()
    then: tuple[tuple[str, ...], ...] = ()


ONE_WORKER = Way(name="one worker", arguments=("--workers", "1"))
PARTS = Way(
    name="two parts",
    arguments=("--workers", "1", "--part", "1/2"),
    then=(
        (*COMMAND, "folder", "{raw}", "--out", "{out}", *TINY, "--workers", "1", "--part", "2/2"),
        (sys.executable, "-c", SYNTHANOM, "merge", "{out}"),
    ),
)


@dataclass(frozen=True, kw_only=True)
class Strike:
    """What happens inside a build; see fault_hook/sitecustomize.py.

    Attributes
    ----------
    do : str
        A key of STRIKES there.
    step : str
        Regular expression of the steps that count, such as ``"rename plan.json"``.
    at : int
        Which of them it happens at, from 1.
    lasting : bool
        Whether it happens at all later ones as well.
    clock : int or None
        Seed of a clock that jumps.
    spare : int
        Bytes that a starved process may still take.
    """

    do: str = "nothing"
    step: str = "."
    at: int = 0
    lasting: bool = False
    clock: int | None = None
    spare: int = 0


@dataclass(frozen=True, kw_only=True)
class Scene:
    """A raw folder, the data set that it makes, and a folder to make it in under a fault."""

    raw: Path
    expected: Path
    out: Path
    seconds: float  # that the undisturbed build took
    steps: tuple[str, ...]  # that it took, as the journal has them
    inputs: list[tuple[str, int, int]] = field(default_factory=list)

    @property
    def journal(self) -> Path:
        """Where the processes of the struck build write down their steps."""
        return self.out.with_name("journal")

    def at(self, folder: Path) -> "Scene":
        """The same with another folder to build in."""
        return replace(self, out=folder / "data")

    def copied(self, folder: Path) -> "Scene":
        """The same with another folder to build in, and with a copy of the inputs, which may be changed."""
        raw = Path(shutil.copytree(self.raw, folder / "raw"))
        return replace(self, raw=raw, out=folder / "data", inputs=listing(raw))


def undisturbed(folder: Path) -> Scene:
    """Twelve pictures and what becomes of them, with the steps and the seconds that it takes."""
    raw = write_pictures(folder / "raw")
    scene = Scene(raw=raw, expected=folder / "data", out=folder / "data", seconds=0.0, steps=())
    begun = time.monotonic()
    ran = ended(started(scene, Way(), Strike()))
    assert ran.status == 0, ran.err
    steps = tuple(scene.journal.read_text().splitlines())
    return replace(scene, seconds=time.monotonic() - begun, steps=steps, inputs=listing(raw))


def command(scene: Scene, way: Way) -> list[str]:
    """The whole command."""
    return [*way.prefix, *COMMAND, "folder", *arguments(scene, way)]


def arguments(scene: Scene, way: Way) -> list[str]:
    """What follows `build-dataset folder`."""
    return [str(scene.raw), "--out", str(scene.out), *TINY, *way.arguments]


def started(scene: Scene, way: Way, strike: Strike | None = None, **options) -> subprocess.Popen:
    """The build as a process that leads a session of its own, struck or not."""
    environment = {**os.environ}
    if strike is not None:
        scene.journal.parent.mkdir(parents=True, exist_ok=True)
        scene.journal.unlink(missing_ok=True)
        fault = {**asdict(strike), "out": str(scene.out), "raw": str(scene.raw), "journal": str(scene.journal)}
        paths = [str(HOOK), *filter(None, [os.environ.get("PYTHONPATH")])]
        environment |= {"FAULT": json.dumps(fault), "PYTHONPATH": os.pathsep.join(paths)}
    return subprocess.Popen(
        command(scene, way),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True, env=environment, **options,
    )  # fmt: skip


def ended(process: subprocess.Popen, seconds: float = SECONDS) -> Ran:
    """What the process said; it is killed when it takes too long, and so is what outlives it."""
    try:
        out, err = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        out, err = process.communicate()
        err += f"\nerror: still running after {seconds:.0f} seconds"
    if not wait_until(lambda: not group_members(process.pid), seconds=15):
        os.killpg(process.pid, signal.SIGKILL)
        err += "\nerror: a process outlived its parent"
    return Ran(status=process.returncode, out=out, err=err)


def paused(scene: Scene, way: Way, step: str, at: int = 1) -> subprocess.Popen:
    """The build, one of its processes waiting just before a step; see `let_go`."""
    process = started(scene, way, Strike(do="pause", step=step, at=at))
    here = scene.journal.with_name("journal.here")
    came = wait_until(lambda: process.poll() is not None or here.exists(), seconds=60)
    assert came and here.exists(), ended(process, seconds=1).err
    return process


def let_go(scene: Scene, process: subprocess.Popen) -> Ran:
    """Send a paused build on, and wait for its end."""
    scene.journal.with_name("journal.go").touch()
    return ended(process)


def gone_on(scene: Scene, way: Way) -> Ran:
    """The same command again, undisturbed; in this process where that is all it takes."""
    if way.prefix or way.then:
        ran = ended(started(scene, way))
        for command in way.then:
            words = [word.format(raw=scene.raw, out=scene.out) for word in command]
            done = subprocess.run(words, capture_output=True, text=True, timeout=SECONDS)
            ran = Ran(status=done.returncode, out=ran.out + done.stdout, err=ran.err + done.stderr)
            if ran.status != 0:
                break
        return ran
    return build(*arguments(scene, way))


def group_members(leader: int) -> list[int]:
    """Processes of a session, read from /proc."""
    members = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[3]) == leader and fields[0] != "Z":
                members.append(int(entry.name))
    return members


def workers_of(leader: int) -> list[int]:
    """The workers of a build and the process that they fork from; not Python's own tracker of resources."""
    found = []
    for member in group_members(leader):
        try:
            words = Path(f"/proc/{member}/cmdline").read_bytes()
        except OSError:
            continue
        if member != leader and b"forkserver" in words:
            found.append(member)
    return sorted(found)


def wait_until(condition: Callable[[], bool], seconds: float = 30.0) -> bool:
    """Poll a condition; whether it came true in time."""
    for _ in range(int(seconds / 0.02)):
        if condition():
            return True
        time.sleep(0.02)
    return False
