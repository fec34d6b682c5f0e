"""Bits turned over and files cut short, in every file of a data set: `check` notices, no reader gives other values."""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

import pytest
from all_rows import REFUSED, everything, wrong
from building import build, write_pictures
from corruption import CHECKSUM, Damage, Job, drawn, everywhere, files_of, parts_of, planted, tried
from running import SYNTHANOM, ran
from small_data import resize, write_small
from tally import DAMAGES
from verdicts import some

from synthanom.errors import SynthanomError
from synthanom.manifest import NAME
from synthanom.shards import DataSet, check
from synthanom.shards.codecs import CODECS

SCENES = {
    "gzip": ((16, 16), 1),  # a build
    "lzf": ((12, 13, 14), 2),
    "zstd": ((12, 70), 3),
    "lz4": ((13, 12, 15), 1),
}
METADATA = 300  # bytes of a shard's metadata that are tried
HEALTHY, SINK = "healthy/00000.h5", "anomalies/sink/00000.h5"
STORED = Path(__file__).parent / "stored" / "before_content"  # written when shards had no `content`
Record = Callable[[str, object], None]
Scene = Callable[[str], Path]


def write_scene(folder: Path, codec: str) -> Path:
    """A data set of a few rows: for gzip what a build makes of pictures, else one written row by row."""
    shape, channels = SCENES[codec]
    if codec == "gzip":
        options = ("--variants", 2, "--tasks", "sink,smooth_intensity", "--folds", 2, "--workers", 1)
        assert build(write_pictures(folder / "raw", 6), "--out", folder / "data", *options).status == 0
    else:
        write_small(folder / "data", channels=channels, shape=shape, codec=codec)
    return folder / "data"


@pytest.fixture(scope="session")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    """The data set of a codec, whole; made when it is first asked for."""
    made: dict[str, Path] = {}

    def of(codec: str) -> Path:
        if codec not in made:
            made[codec] = write_scene(tmp_path_factory.mktemp(codec), codec)
        return made[codec]

    return of


def judged(record: Record, jobs: Sequence[Job]) -> None:
    """Try them, put what came of it into the tally, and fail unless all ended well."""
    trials = tried(jobs)
    record(DAMAGES, [asdict(trial) for trial in trials])
    bad = [trial.words for trial in trials if trial.words]
    assert not bad, "\n".join([f"{len(bad)} of {len(trials)}:", *bad[:10]])


def jobs_of(folder: Path, damages: Sequence[Damage], way: str = "fresh") -> list[Job]:
    """The damages, done to a data set."""
    return [Job(folder=folder, way=way, damage=damage) for damage in damages]


def every(damages: Sequence[Damage], count: int) -> list[Damage]:
    """As many of them, evenly spread."""
    return [damages[i * len(damages) // count] for i in range(count)]


def test_some_damage_is_noticed_and_never_read_as_other_values(scene: Scene, record_property: Record) -> None:
    jobs = []
    for codec in CODECS:
        folder = scene(codec)
        jobs += jobs_of(folder, [*(drawn(folder, seed) for seed in range(8)), *every(planted(folder, 0), 10)])
    judged(record_property, jobs)


def test_damage_done_while_a_data_set_is_open(scene: Scene, record_property: Record) -> None:
    """In a process of its own: HDF5 shares what it knows of a file between all who have it open."""
    jobs = []
    for way in ("open", "reopened"):
        folder = scene("lzf")
        damages = [damage for damage in planted(folder, 1) if damage.part.startswith("chunk")]
        short = [Damage(seed=0, file=file, part="cut short", place=99, bit=-1) for file in (HEALTHY, SINK)]
        jobs += jobs_of(folder, [*every(damages, 10), *short], way)
    judged(record_property, jobs)


@pytest.mark.slow
@pytest.mark.parametrize("codec", CODECS)
def test_a_thousand_damages(codec: str, scene: Scene, record_property: Record) -> None:
    """Seed s is tried on the data set number s modulo 4."""
    folder = scene(codec)
    seeds = range(list(CODECS).index(codec), 1000, len(CODECS))
    judged(record_property, jobs_of(folder, [drawn(folder, seed) for seed in seeds]))


@pytest.mark.slow
@pytest.mark.parametrize("codec", CODECS)
def test_every_kind_of_part_of_every_file(codec: str, scene: Scene, record_property: Record) -> None:
    folder = scene(codec)
    judged(record_property, jobs_of(folder, planted(folder, 2)))


@pytest.mark.slow
@pytest.mark.parametrize("file", [HEALTHY, SINK])
def test_bytes_all_over_the_metadata(file: str, scene: Scene, record_property: Record) -> None:
    folder = scene("gzip")
    judged(record_property, jobs_of(folder, every(everywhere(folder, file), METADATA)))


@pytest.mark.slow
@pytest.mark.parametrize("way", ["open", "reopened"])
@pytest.mark.parametrize("codec", CODECS)
def test_more_damage_done_while_a_data_set_is_open(codec: str, way: str, scene: Scene, record_property: Record) -> None:
    folder = scene(codec)
    judged(record_property, jobs_of(folder, [drawn(folder, seed) for seed in range(5000, 5100)], way))


def test_the_damages_hit_every_part(scene: Scene) -> None:
    """So that the tally tells of all of them."""
    hit = {damage.part for codec in ("gzip", "lzf") for damage in planted(scene(codec), 0)}
    assert hit >= {
        "superblock", "object header", "attribute", "names of columns", "chunk index", "chunk", "chunk checksum",
        "dataset.json", "table",
    }  # fmt: skip
    files = set(files_of(scene("lzf")))
    assert {"cases.csv", "dataset.json", HEALTHY, SINK} <= files == {d.file for d in planted(scene("lzf"), 0)}


@pytest.mark.parametrize(
    "damage",
    [
        Damage(seed=0, file=NAME, part="", place=300, bit=7),
        Damage(seed=0, file=HEALTHY, part="", place=100, bit=-1),
        Damage(seed=0, file=SINK, part="", place=60, bit=5),
    ],
    ids=lambda damage: f"{damage.file}-{damage.place}",
)
def test_the_command_says_so_and_exits_with_2(damage: Damage, scene: Scene, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(scene("gzip"), tmp_path / "data"))
    (folder / damage.file).write_bytes(damage.done_to((folder / damage.file).read_bytes()))
    done = ran(SYNTHANOM, "check", folder)
    assert done.returncode == 2 and not done.stderr, done.stderr
    assert all(line.startswith(str(folder / damage.file)) for line in done.stdout.splitlines()), done.stdout
    done = ran(SYNTHANOM, "describe", folder)
    assert done.returncode in (0, 2) and "Traceback" not in done.stderr and "bug" not in done.stderr
    assert done.returncode == 0 or len(done.stderr.splitlines()) == 1, done.stderr


@pytest.fixture
def two(tmp_path: Path) -> Path:
    """A data set whose healthy shards have as many rows; `other` beside it differs in nothing but its values."""
    write_small(tmp_path / "data", count=6)
    write_small(tmp_path / "other", count=6)
    return tmp_path / "data"


def swapped(folder: Path) -> str:
    """Two shards of one size under each other's names."""
    one, other = folder / HEALTHY, folder / "healthy/00001.h5"
    content = one.read_bytes()
    one.write_bytes(other.read_bytes())
    other.write_bytes(content)
    resize(folder)
    return HEALTHY


def of_another_task(folder: Path) -> str:
    shutil.copy(folder / "anomalies/source/00000.h5", folder / SINK)
    resize(folder)
    return SINK


def of_another_data_set(folder: Path) -> str:
    """The very rows of this shard, under the same ids and of the same size, with other values."""
    write_small(folder.parent / "third", count=6, seed=4)
    shutil.copy(folder.parent / "third" / SINK, folder / SINK)
    resize(folder)
    return SINK


def missing(folder: Path) -> str:
    (folder / SINK).unlink()
    return SINK


def empty(folder: Path) -> str:
    (folder / HEALTHY).write_bytes(b"")
    return HEALTHY


def a_folder(folder: Path) -> str:
    (folder / "cases.csv").unlink()
    (folder / "cases.csv").mkdir()
    resize(folder)
    return "cases.csv"


def a_link_to_nothing(folder: Path) -> str:
    (folder / SINK).unlink()
    (folder / SINK).symlink_to(folder / "nowhere.h5")
    return SINK


def a_link_to_another(folder: Path) -> str:
    (folder / SINK).unlink()
    (folder / SINK).symlink_to(folder / "anomalies/sink/00001.h5")
    resize(folder)
    return SINK


def extra(folder: Path) -> str:
    shutil.copy(folder / "healthy/00001.h5", folder / "healthy/00002.h5")
    return "healthy/00002.h5"


def an_extra_table(folder: Path) -> str:
    (folder / "plan.json").write_text("{}")
    return "plan.json"


@pytest.mark.parametrize(
    "change",
    [swapped, of_another_task, of_another_data_set, missing, empty, a_folder, a_link_to_nothing, a_link_to_another,
     extra, an_extra_table],
)  # fmt: skip
def test_a_file_that_is_another_one(change: Callable[[Path], str], two: Path) -> None:
    intact = everything(two)
    name = change(two)
    found = everything(two)
    intact |= {key: found[key] for key in ("manifest", "own manifest") if key in found}  # where sizes were changed
    assert not wrong(found, intact, two)
    assert any(str(two / name) in line for line in check(two)), check(two)
    left_alone = change in (extra, an_extra_table)
    assert any(answer.startswith("refused") for answer in found.values()) != left_alone


@pytest.mark.parametrize(("old", "new"), [(rb"\u00e4", rb"\u00E4"), (b"0.30000000000000004", b"0.30000000000000005")])
def test_another_spelling_of_the_same_is_noticed(old: bytes, new: bytes, tmp_path: Path) -> None:
    """Both are one bit away, and mean the same: a reader is right, and the file was changed."""
    write_small(tmp_path)
    path = tmp_path / NAME
    content = path.read_bytes()
    assert content.count(old) == 1
    intact = everything(tmp_path)
    path.write_bytes(content.replace(old, new))
    assert everything(tmp_path) == intact
    assert [line for line in check(tmp_path) if str(path) in line and "another spelling" in line]


def test_tables_are_read_as_they_were_written_or_not_at_all(tmp_path: Path) -> None:
    samples = write_small(tmp_path)
    with DataSet.open(tmp_path) as data:
        rows = data.table("cases.csv")
        assert [row["id"] for row in rows] == [sample.id for sample in samples]
        assert rows[4] == {"id": "cäse-4", "subject": "p-2", "fold": "0", "age": "34"}
        assert data.table("skipped.csv") == []
        path = tmp_path / "cases.csv"
        path.write_bytes(path.read_bytes().replace(b"34", b"35"))
        with pytest.raises(SynthanomError, match=r"cases\.csv: must be as dataset\.json lists it"):
            data.table("cases.csv")
        path.write_bytes(path.read_bytes()[:-1])
        with pytest.raises(SynthanomError, match=r"cases\.csv: must be as dataset\.json lists it"):
            data.table("cases.csv")
        with pytest.raises(SynthanomError, match=r"plan\.json: must be listed in dataset\.json"):
            data.table("plan.json")


def test_a_data_set_that_was_written_before_shards_named_their_content(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(STORED, tmp_path / "stored"))
    write_small(tmp_path / "now", count=3, variants=1)
    assert check(folder) == []
    found, now = everything(folder), everything(tmp_path / "now")
    rows = [name for name in found if "manifest" not in name and name != "plan"]
    assert len(rows) > 20 and {name: found[name] for name in rows} == {name: now[name] for name in rows}


@pytest.mark.slow
def test_damage_to_one_that_was_written_before(tmp_path: Path, record_property: Record) -> None:
    folder = Path(shutil.copytree(STORED, tmp_path / "stored"))
    judged(record_property, jobs_of(folder, planted(folder, 0)))


def zeroed(path: Path, start: int, stop: int) -> None:
    content = path.read_bytes()
    path.write_bytes(content[:start] + bytes(stop - start) + content[stop:])


@pytest.mark.parametrize("codec", some(list(CODECS), ("gzip", "lzf")))
def test_chunks_that_were_never_written(codec: str, tmp_path: Path) -> None:
    """A file of the right size with a hole in it, as an interrupted copy leaves: Fletcher-32 of zeros is 0."""
    write_small(tmp_path / "data", channels=2, shape=(12, 14), codec=codec, count=3)
    intact, tried = everything(tmp_path / "data"), 0
    for name in (HEALTHY, SINK):
        path = tmp_path / "data" / name
        content, parts = path.read_bytes(), parts_of(path)
        for start, stop, part in parts:
            if part == "chunk":
                zeroed(path, start, stop + CHECKSUM)
                found = everything(tmp_path / "data")
                assert not wrong(found, intact, tmp_path / "data"), f"{name} {start}"
                assert any(answer.startswith(REFUSED) for answer in found.values()), f"{name} {start}"
                path.write_bytes(content)
                tried += 1
    assert tried > 15
