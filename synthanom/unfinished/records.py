"""What a unit left behind: one small file each, by which an interrupted build knows what is done."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from synthanom.errors import SynthanomError
from synthanom.manifest import FileRecord, describe_file, replaced_file

FOLDER = ".units"  # inside the data set's folder until it is finished


@dataclass(frozen=True, kw_only=True)
class Skipped:
    """A row that was left out.

    Attributes
    ----------
    id, path : str
        Of the case; the path relative to the raw folder.
    stage : str
        ``"read"``, ``"prepare"``, or the stored name of a task.
    variant : int or None
    reason : str
    """

    id: str
    path: str
    stage: str
    variant: int | None
    reason: str


@dataclass(frozen=True, kw_only=True)
class UnitRecord:
    """What one unit made.

    Attributes
    ----------
    plan : str
        Digest of the plan that it followed.
    stage : str
        ``"healthy"`` or the stored name of a task.
    number : int
    file : FileRecord or None
        Its shard, unless no row could be made.
    cases : tuple of int
        Numbers of the cases that the healthy rows show, in order; empty for tasks.
    skipped : tuple of Skipped
    environment : mapping of str to str, or None
        The fingerprint under which it was made, where that is not the plan's.
    """

    plan: str
    stage: str
    number: int
    file: FileRecord | None
    cases: tuple[int, ...]
    skipped: tuple[Skipped, ...]
    environment: Mapping[str, str] | None = None


def shard_name(stage: str, number: int) -> str:
    """Path of a unit's shard in the data set's folder."""
    return f"healthy/{number:05}.h5" if stage == "healthy" else f"anomalies/{stage}/{number:05}.h5"


def write_record(out: Path, record: UnitRecord) -> None:
    """Leave the record in `out`, after the shard.

    Raises
    ------
    SynthanomError
        If it cannot be written.
    """
    with replaced_file(_path(out, record.stage, record.number)) as file:
        file.write(json.dumps(asdict(record), sort_keys=True).encode("ascii"))


def read_record(out: Path, plan: str, stage: str, number: int) -> UnitRecord | None:
    """The record of a unit that was finished under the plan with this digest, or None; its shard is not looked at."""
    try:
        content = json.loads(_path(out, stage, number).read_text(encoding="ascii"))
        record = _from_json(content)
    except (OSError, ValueError, KeyError, TypeError):
        return None  # not there or cut short by a crash of the machine: the unit is made again
    return record if (record.plan, record.stage, record.number) == (plan, stage, number) else None


def finished_unit(out: Path, plan: str, stage: str, number: int) -> UnitRecord | None:
    """The record of a unit whose shard is there, to the last byte, as it was written."""
    record = read_record(out, plan, stage, number)
    if record is None or record.file is None:
        return record
    try:
        found = describe_file(out, record.file.path, record.file.rows, record.file.content)
    except SynthanomError:
        return None
    return record if found == record.file else None


def healthy_records(out: Path, plan: str, units: int) -> list[UnitRecord]:
    """The records of all healthy units.

    Raises
    ------
    SynthanomError
        If one is missing.
    """
    records = []
    for number in range(units):
        record = read_record(out, plan, "healthy", number)
        if record is None:
            path = _path(out, "healthy", number)
            raise SynthanomError(
                f"{path}: must be there while anomalies are made, and is not; run the same command again"
            )
        records.append(record)
    return records


def rows_of_cases(records: Sequence[UnitRecord]) -> dict[int, int]:
    """Healthy row of every case that has one."""
    return {case: row for row, case in enumerate(case for record in records for case in record.cases)}


def _path(out: Path, stage: str, number: int) -> Path:
    return out / FOLDER / f"{stage}-{number:05}.json"


def _from_json(content: Mapping[str, Any]) -> UnitRecord:
    file = content["file"]
    return UnitRecord(
        plan=content["plan"],
        stage=content["stage"],
        number=content["number"],
        file=None if file is None else FileRecord(**file),
        cases=tuple(content["cases"]),
        skipped=tuple(Skipped(**row) for row in content["skipped"]),
        environment=content["environment"],
    )
