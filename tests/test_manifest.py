"""dataset.json: written last and whole, refused when anything about it is off."""

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from small_data import write_small

from synthanom.arrays import canonical_json
from synthanom.errors import SynthanomError
from synthanom.manifest import NAME, describe_file, read_manifest, replaced_file, write_manifest


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_small(tmp_path)
    return tmp_path


def edit(folder: Path, *, sealed: bool, **changes: object) -> None:
    """Change fields of dataset.json; `sealed` gives it a digest that matches."""
    import hashlib

    path = folder / NAME
    content = {**json.loads(path.read_text()), **changes}
    if sealed:
        content.pop("digest")
        content["digest"] = hashlib.sha256(canonical_json(content)).hexdigest()
    path.write_text(json.dumps(content))


def test_round_trip(folder: Path) -> None:
    manifest = read_manifest(folder)
    before = (folder / NAME).read_bytes()
    write_manifest(folder, manifest)
    assert read_manifest(folder) == manifest
    assert (folder / NAME).read_bytes() == before
    assert [task.name for task in manifest.tasks] == ["sink", "source"]
    assert manifest.counts == {"healthy": 5, "anomalies": 18}


def test_unfinished_folder_says_what_to_do(folder: Path) -> None:
    (folder / NAME).unlink()
    with pytest.raises(SynthanomError, match="unfinished: run the same command again") as error:
        read_manifest(folder)
    assert str(folder) in str(error.value)


def test_missing_folder_is_not_called_unfinished(tmp_path: Path) -> None:
    with pytest.raises(SynthanomError, match="no such folder"):
        read_manifest(tmp_path / "nowhere")


@pytest.mark.parametrize("sealed", [True, False])
def test_newer_format_names_file_and_remedy(folder: Path, sealed: bool) -> None:
    edit(folder, sealed=sealed, format=2, something_new=1)
    with pytest.raises(SynthanomError, match=r"format must be at most 1, got 2.*upgrade") as error:
        read_manifest(folder)
    assert str(folder / NAME) in str(error.value)


@pytest.mark.parametrize("found", [0, True, "1", None, 1.5])
def test_odd_format_is_refused(folder: Path, found: object) -> None:
    edit(folder, sealed=True, format=found)
    with pytest.raises(SynthanomError, match="format must be 1"):
        read_manifest(folder)


def test_edited_by_hand_is_noticed(folder: Path) -> None:
    edit(folder, sealed=False, seed=8)
    with pytest.raises(SynthanomError, match="digest must match"):
        read_manifest(folder)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kind": "other"}, "kind must be"),
        ({"extra": 1}, "must have the fields"),
        ({"seed": "7"}, "seed must be of type int"),
        ({"channels": True}, "channels must be of type int"),
        ({"shape": [12, 1.5]}, "must be of type int"),
        ({"shape": [12]}, "2 or 3 positive sides"),
        ({"variants": -1}, "variants must not be negative"),
        ({"folds": {"p-0": -1}}, "folds must not be negative"),
        ({"fingerprint": {"numpy": 2}}, "must be of type str"),
        ({"counts": {"healthy": 4, "anomalies": 18}}, "counts"),
        ({"tasks": [{"name": "sink", "settings": {}, "rows": 9}]}, "files must be shards of its tasks"),
        ({"tasks": [{"name": "sink", "rows": 9}]}, "a task must have the fields"),
        ({"files": [{"path": "../x", "sha256": "0" * 64, "bytes": 1, "rows": 0}]}, "files must be shards"),
        ({"files": ["healthy/00000.h5"]}, "a file must have the fields"),
    ],
)
def test_schema(folder: Path, changes: dict[str, object], message: str) -> None:
    edit(folder, sealed=True, **changes)
    with pytest.raises(SynthanomError, match=message):
        read_manifest(folder)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe", b'{"a": NaN}', b"[" * 100_000])
def test_not_a_manifest(folder: Path, content: bytes) -> None:
    (folder / NAME).write_bytes(content)
    with pytest.raises(SynthanomError, match=NAME):
        read_manifest(folder)


def test_shortened_and_missing_files_are_named(folder: Path) -> None:
    shard = folder / "anomalies/sink/00001.h5"
    shard.write_bytes(shard.read_bytes()[:-1])
    with pytest.raises(SynthanomError, match=r"sink/00001.h5: must be \d+ bytes long"):
        read_manifest(folder)
    shard.unlink()
    with pytest.raises(SynthanomError, match=r"sink/00001.h5: must be there"):
        read_manifest(folder)


def test_a_manifest_that_contradicts_itself_is_not_written(folder: Path) -> None:
    manifest = read_manifest(folder)
    (folder / NAME).unlink()
    wrong = dataclasses.replace(manifest, counts={"healthy": 1, "anomalies": 18})
    with pytest.raises(SynthanomError, match="counts"):
        write_manifest(folder, wrong)
    (folder / "skipped.csv").write_text("longer than it was when it was described\n")
    with pytest.raises(SynthanomError, match=r"skipped\.csv"):
        write_manifest(folder, manifest)
    assert not (folder / NAME).exists()


@pytest.mark.parametrize("failure", [KeyboardInterrupt, RuntimeError])
def test_no_final_name_and_no_leftover_after_a_failure(tmp_path: Path, failure: type[BaseException]) -> None:
    path = tmp_path / "sub" / "file.bin"
    with pytest.raises(failure), replaced_file(path) as file:
        file.write(b"half")
        assert [str(os.getpid()) in p.name for p in path.parent.iterdir()] == [True]
        raise failure
    assert list(path.parent.iterdir()) == []


def test_a_failure_leaves_the_older_file_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "file.bin"
    path.write_bytes(b"old")
    with pytest.raises(RuntimeError), replaced_file(path) as file:
        file.write(b"new")
        raise RuntimeError
    assert path.read_bytes() == b"old"
    with replaced_file(path) as file:
        file.write(b"new")
    assert path.read_bytes() == b"new"


def test_full_disk_is_one_line_and_leaves_nothing(tmp_path: Path) -> None:
    """A process that may not write more than 1000 bytes to a file."""
    program = (
        "import resource, sys\n"
        "from synthanom.errors import SynthanomError\n"
        "from synthanom.manifest import replaced_file\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "try:\n"
        "    with replaced_file(sys.argv[1]) as file: file.write(bytes(100_000))\n"
        "except SynthanomError as error: sys.stdout.write(str(error))\n"
    )
    path = tmp_path / "file.bin"
    done = subprocess.run([sys.executable, "-c", program, str(path)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert f"{path}: must be writable" in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_describe_file(tmp_path: Path) -> None:
    (tmp_path / "plan.json").write_bytes(b"abc")
    record = describe_file(tmp_path, "plan.json")
    assert record.sha256 == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # FIPS 180-2, B.1
    assert (record.path, record.bytes, record.rows) == ("plan.json", 3, 0)
    with pytest.raises(SynthanomError, match=r"skipped\.csv"):
        describe_file(tmp_path, "skipped.csv")
