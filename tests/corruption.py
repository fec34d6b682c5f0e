"""Damage to the files of a data set: drawn by seed or put where it should hurt, done, looked at, undone.

As a program it does so in a process of its own, so that HDF5 can crash, hang or take memory without the test.
"""

import json
import random
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path

import h5py
import hdf5plugin  # noqa: F401  # importing it makes HDF5 find the filters

SECONDS = 20  # that reading and checking one damaged data set may take; it takes 0.1
SPARE = 2**30  # bytes that a reader may ask for beyond what it needed for the data set while that was whole
CHECKSUM = 4  # bytes at the end of a chunk
SIGNATURES = {
    b"\x89HDF\r\n\x1a\n": "superblock",
    b"OHDR": "object header", b"OCHK": "object header",
    b"FRHP": "names of columns", b"FHDB": "names of columns", b"BTHD": "names of columns", b"BTLF": "names of columns",
    b"FAHD": "chunk index", b"FADB": "chunk index",
}  # fmt: skip
ATTRIBUTES = (b"format", b"kind", b"task", b"shape", b"channels", b"content")
MEMBERS = ("superblock", "object header", "attribute", "names of columns", "chunk index")  # of metadata


@dataclass(frozen=True, kw_only=True)
class Damage:
    """One bit turned over, or a file cut short.

    Attributes
    ----------
    seed : int
    file : str
        Relative to the data set's folder.
    part : str
        What lies there, for the tally.
    place : int
        The byte; of a cut file, its new length.
    bit : int
        From 0; -1 where the file is cut.
    """

    seed: int
    file: str
    part: str
    place: int
    bit: int

    def done_to(self, content: bytes) -> bytes:
        """The damaged content."""
        if self.bit < 0:
            return content[: self.place]
        return content[: self.place] + bytes([content[self.place] ^ 1 << self.bit]) + content[self.place + 1 :]

    def __str__(self) -> str:
        what = f"cut to {self.place} bytes" if self.bit < 0 else f"bit {self.bit} of byte {self.place} turned over"
        return f"seed {self.seed}, {self.file}: {what} ({self.part})"


@dataclass(frozen=True, kw_only=True)
class Job:
    """A damage to be done to a data set, and how to look at it.

    Attributes
    ----------
    folder : Path
    way : str
        ``"fresh"``: check it, and open and read it anew. ``"open"``: read on with a data set that was opened and read
        before. ``"reopened"``: the same, with one file open at a time, so that each is opened again.
    damage : Damage
    """

    folder: Path
    way: str
    damage: Damage

    def __str__(self) -> str:
        return f"{self.way}, {self.folder.parent.name}, {self.damage}"


@dataclass(frozen=True, kw_only=True)
class Trial:
    """What came of one damage.

    Attributes
    ----------
    part : str
        What was damaged, and when, for the tally.
    noticed : bool
        Whether `check` named the file.
    refused : bool
        Whether a reader refused anything.
    words : str
        What went wrong; empty if nothing did.
    """

    part: str
    noticed: bool
    refused: bool
    words: str


def files_of(folder: Path) -> list[str]:
    """Every file of a data set, in name order."""
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def drawn(folder: Path, seed: int) -> Damage:
    """A damage anywhere: every file is as likely as another, and one in five is cut."""
    chance = random.Random(f"corruption {seed}")
    file = chance.choice(files_of(folder))
    size = (folder / file).stat().st_size
    if chance.random() < 0.2:
        length = chance.choice([0, 1, size // 2, size - 1, chance.randrange(size)])
        return Damage(seed=seed, file=file, part="cut short", place=length, bit=-1)
    place = chance.randrange(size)
    part = next(name for start, stop, name in parts_of(folder / file) if start <= place < stop)
    return Damage(seed=seed, file=file, part=part, place=place, bit=chance.randrange(8))


def planted(folder: Path, seed: int, each: int = 1) -> list[Damage]:
    """In every file, the first and the last byte of each kind of part, and some within, a bit of each."""
    chance = random.Random(f"planted {seed}")
    found = []
    for file in files_of(folder):
        extents: dict[str, list[range]] = {}
        for start, stop, name in parts_of(folder / file):
            extents.setdefault(name, []).append(range(start, stop))
        for name, ranges in extents.items():
            within = [chance.choice(chance.choice(ranges)) for _ in range(each)]
            for place in sorted({ranges[0][0], ranges[-1][-1], *within}):
                found.append(Damage(seed=seed, file=file, part=name, place=place, bit=chance.randrange(8)))
    return found


def everywhere(folder: Path, file: str) -> list[Damage]:
    """A bit of every byte of a shard that is no chunk."""
    chance = random.Random(f"everywhere {file}")
    return [
        Damage(seed=place, file=file, part=name, place=place, bit=chance.randrange(8))
        for start, stop, name in parts_of(folder / file)
        for place in range(start, stop)
        if name in MEMBERS
    ]


def parts_of(path: Path) -> list[tuple[int, int, str]]:
    """What lies where in a file, from its first byte to its last."""
    content = path.read_bytes()
    if path.suffix != ".h5":
        return [(0, len(content), path.name if path.name == "dataset.json" else "table")]
    chunks = sorted(_chunks(path))
    starts = {0: "superblock", **{start: "chunk" for start, _ in chunks}}
    starts |= {start + size - CHECKSUM: "chunk checksum" for start, size in chunks}
    for signature, name in SIGNATURES.items():
        starts |= dict.fromkeys(_places(content, signature, chunks), name)
    for start, size in chunks:  # where nothing begins that has a signature, there is room that nothing uses
        starts.setdefault(start + size, "unused")
    for name in ATTRIBUTES:
        for place in _places(content, name + b"\0", chunks):
            starts[place] = "attribute"  # up to the next one, or to whatever follows the header
    bounds = [*sorted(start for start in starts if start < len(content)), len(content)]
    return [(start, stop, starts[start]) for start, stop in pairwise(bounds)]


def _chunks(path: Path) -> Iterator[tuple[int, int]]:
    with h5py.File(path) as file:
        for dataset in file.values():
            for place in dataset.iter_chunks() if dataset.chunks else ():
                info = dataset.id.get_chunk_info_by_coord(tuple(part.start for part in place))
                yield info.byte_offset, info.size


def _places(content: bytes, sought: bytes, chunks: Sequence[tuple[int, int]]) -> Iterator[int]:
    """Where something is found outside of the chunks."""
    place = content.find(sought)
    while place >= 0:  # each step goes on in the file
        if not any(start <= place < start + size for start, size in chunks):
            yield place
        place = content.find(sought, place + 1)


def tried(jobs: Sequence[Job]) -> list[Trial]:
    """Do each damage and say what came of it; a crash or a hang ends a process, not the test."""
    found: list[Trial] = []
    for _ in range(len(jobs)):  # every round tries at least one
        left = jobs[len(found) :]
        if not left:
            break
        asked = json.dumps([{**asdict(job), "folder": str(job.folder)} for job in left])
        ran = subprocess.run(
            [sys.executable, __file__], input=asked, capture_output=True, text=True, check=False,
            timeout=120 + SECONDS * len(left), cwd=Path(__file__).parent,
        )  # fmt: skip
        kept = [Trial(**json.loads(line)) for line in ran.stdout.splitlines()]
        found += kept
        if ran.returncode == 0:
            assert len(kept) == len(left), ran.stderr
        else:
            words = f"ended the process ({ran.returncode}): {ran.stderr[-600:]}"
            found.append(ended(left[len(kept)], noticed=False, refused=False, bad=[words]))
    return found


def ended(job: Job, *, noticed: bool, refused: bool, bad: Sequence[str]) -> Trial:
    """The trial of a job."""
    words = f"{job}: {'; '.join(bad)}" if bad else ""
    return Trial(part=f"{job.way}: {job.damage.part}", noticed=noticed, refused=refused, words=words)


def main() -> None:
    """Try what stdin asks for, and print a line of JSON for each trial."""
    jobs = [
        Job(folder=Path(given["folder"]), way=given["way"], damage=Damage(**given["damage"]))
        for given in json.loads(sys.stdin.read())
    ]
    looks = {place: looker(*place) for place in dict.fromkeys((job.folder, job.way) for job in jobs)}
    _limit_memory()
    for job in jobs:
        signal.alarm(SECONDS)
        trial = _trial(job, looks[job.folder, job.way])
        signal.alarm(0)
        sys.stdout.write(json.dumps(asdict(trial)) + "\n")
        sys.stdout.flush()


def _trial(job: Job, look: Callable[[Job], Trial]) -> Trial:
    path = job.folder / job.damage.file
    content = path.read_bytes()
    _overwrite(path, job.damage.done_to(content))
    try:
        return look(job)
    finally:
        _overwrite(path, content)


def _overwrite(path: Path, content: bytes) -> None:
    """Without emptying the file first: a reader may have it open."""
    with path.open("r+b") as file:
        file.write(content)
        file.truncate()


def looker(folder: Path, way: str) -> Callable[[Job], Trial]:
    """What looks at a damaged data set that is whole now."""
    from all_rows import BROKE, REFUSED, answers, everything, questions, wrong

    from synthanom.shards import DataSet, check, reader

    intact, problems = everything(folder), check(folder)
    assert not problems and not any(v.startswith((REFUSED, BROKE)) for v in intact.values()), (problems, intact)
    usual = reader.MAX_OPEN
    asked = questions(DataSet.open(folder))
    assert way == "fresh" or answers(asked) == {name: intact[name] for name in asked}

    def look(job: Job) -> Trial:
        problems = check(folder) if way == "fresh" else []
        reader.MAX_OPEN = 1 if way == "reopened" else usual
        found = everything(folder) if way == "fresh" else answers(asked)
        bad = wrong(found, intact, folder)
        noticed = any(str(folder / job.damage.file) in line for line in problems)
        if way == "fresh" and (not noticed or any("\n" in line for line in problems)):
            bad.append(f"check must name the file, and say a line for each problem, got {problems}")
        refused = any(answer.startswith(REFUSED) for answer in found.values())
        return ended(job, noticed=noticed, refused=refused, bad=bad)

    return look


def _limit_memory() -> None:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * resource.getpagesize() + SPARE
    resource.setrlimit(resource.RLIMIT_AS, (most, most))


if __name__ == "__main__":
    main()
