"""Builds that something happens to: struck, looked at, gone on with, and compared with one that nothing happened to."""

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import pytest
from building import COMMAND, Ran, build, listing, shards, write_pictures
from tally import PROPERTY

from synthanom.replaying import check_replay
from synthanom.shards import check

HOOK = Path(__file__).parent / "fault_hook"
SECONDS = 120.0  # that any one process may take
TINY = ("--variants", "6", "--tasks", "sink,smooth_intensity", "--folds", "2")
NEVER = ("Traceback", "error: a bug in", "error: still running", "error: a process outlived")
WHOLE = ("dataset.json", "plan.json", "skipped.csv")


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
        Run afterwards, ``{out}`` being the folder, where the command alone does not finish.
    """

    name: str = "two workers"
    arguments: tuple[str, ...] = ("--workers", "2")
    prefix: tuple[str, ...] = ()
    then: tuple[tuple[str, ...], ...] = ()


ONE_WORKER = Way(name="one worker", arguments=("--workers", "1"))


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


@dataclass(frozen=True, kw_only=True)
class Trial:
    """What came of one fault.

    Attributes
    ----------
    fault : str
        Its kind, for the tally.
    survived : bool
        Whether the build said what it had to, and the same command went on to a whole data set, or said why not.
    bytes_equal : bool
        Whether that data set is the one of an undisturbed build.
    words : str
        What went wrong, or what was said.
    """

    fault: str
    survived: bool
    bytes_equal: bool
    words: str


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
            words = [word.format(out=scene.out) for word in command]
            done = subprocess.run(words, capture_output=True, text=True, timeout=SECONDS)
            ran = Ran(status=done.returncode, out=done.stdout, err=done.stderr)
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


def differences(scene: Scene) -> list[str]:
    """What tells the data set from the one of an undisturbed build, or is wrong with it; nothing should."""
    made, wanted = shards(scene.out), shards(scene.expected)
    found = [f"{name} differs" for name in sorted({*made, *wanted}) if made.get(name) != wanted.get(name)]
    for name in WHOLE:
        if not (scene.out / name).exists() or (scene.out / name).read_bytes() != (scene.expected / name).read_bytes():
            found.append(f"{name} differs")
    found += [f"left: {path}" for path in scene.out.rglob(".*")]
    return [*found, *check(scene.out), *(check_replay(scene.out).problems if not found else ())]


def torn(scene: Scene) -> list[str]:
    """Files under a final name that are not, to the last byte, what an undisturbed build writes."""
    found = [name for name, content in shards(scene.out).items() if content != shards(scene.expected).get(name)]
    for name in WHOLE:
        path = scene.out / name
        if path.exists() and path.read_bytes() != (scene.expected / name).read_bytes():
            found.append(name)
    if (scene.out / "dataset.json").exists() and check(scene.out):
        found.append("dataset.json before the data set was whole")
    return [f"half-written: {name}" for name in found]


def some(values: Sequence[object], few: Collection[object]) -> list[object]:
    """Parameters of a test, those that are not among the few for `make test-all` only."""
    return [pytest.param(value, marks=[] if value in few else pytest.mark.slow) for value in values]


def one_line(ran: Ran, *words: str, loud: bool = False) -> list[str]:
    """What is wrong with a refusal: it must exit 2 with one error line that holds these words.

    `loud` allows what Python and libraries print when they are not even loaded.
    """
    lines = [line for line in ran.err.splitlines() if line.startswith("error: ")]
    if ran.status != 2 or len(lines) != 1 or ("Traceback" in ran.err and not loud):
        return [f"must be refused in one line, got {ran.status}: {ran.err[-600:]}"]
    return [f"must say {word!r}, says: {lines[0]}" for word in words if word not in lines[0]]


def unquiet(ran: Ran) -> list[str]:
    """What no process may do or say, however it ends."""
    return [line for line in ran.err.splitlines() if line.startswith(NEVER)]


def finished(fault: str, scene: Scene, way: Way, wrong: list[str]) -> Trial:
    """Go on with the struck build and say what came of it; `wrong` is what was wrong before."""
    wrong = [*wrong, *torn(scene)]
    ran = gone_on(scene, way)
    if ran.status != 0:
        wrong.append(f"going on: {ran.status}: {ran.err[-600:]}")
    unlike = differences(scene)
    if listing(scene.raw) != scene.inputs:
        wrong.append("the inputs were touched")
    return Trial(fault=fault, survived=not wrong, bytes_equal=not unlike, words="; ".join([*wrong, *unlike]))


def judged(record_property: Callable[[str, object], None], trial: Trial) -> None:
    """Put the trial into the tally, and fail unless the build survived and its bytes are right."""
    record_property(PROPERTY, asdict(trial))
    assert trial.survived, trial.words
    assert trial.bytes_equal, trial.words
