"""What came of a fault: how a build ended, what it left, and whether the same command made it whole."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import asdict, dataclass

import pytest
from building import Ran, listing, shards
from faulty import Scene, Way, gone_on
from tally import PROPERTY

from synthanom.replaying import check_replay
from synthanom.shards import check

NEVER = ("Traceback", "error: a bug in", "error: still running", "error: a process outlived")
WHOLE = ("dataset.json", "plan.json", "skipped.csv")


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
