"""The folder of a run: whose it is, what it was started with, whether it is finished."""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from synthanom.errors import SynthanomError
from synthanom.manifest import replaced_file
from synthanom.record_locks import take
from synthanom.settings_file import read_settings
from synthanom.training.config import TrainingConfig, parse_config

CONFIG, FOLDS, ENVIRONMENT, FINISHED = "config.yaml", "folds.json", "environment.json", "finished.json"
PARTS = ("best", "last", "logs", "pictures")
RESUME = Path("last") / "resume.ckpt"
LOCK = ".lock"
_DESCRIPTIVE = ("dataset",)  # a data set may move: its digest says which it is


def prepare_folder(folder: Path, config: TrainingConfig, folds: Mapping[str, Any]) -> None:
    """Make the folder of a new run, or verify that it holds this very run.

    Parameters
    ----------
    folder : Path
    config : TrainingConfig
        Written to `config.yaml`, which can be given to a training command again.
    folds : mapping
        Data set, tasks, folds and subjects of the run as JSON: `folds.json`.

    Raises
    ------
    SynthanomError
        If the folder holds something else, or a run with other settings, or cannot be written.
    """
    if folder.exists() and not folder.is_dir():
        raise SynthanomError(f"{folder}: must be a folder to train into, got a file; choose another --out")
    settings = config.model_dump(mode="json")
    known = {*PARTS, CONFIG, FOLDS, ENVIRONMENT}
    present = {p.name for p in folder.iterdir() if not p.name.startswith(".")} if folder.exists() else set()
    if present and not ({CONFIG, FOLDS} & present and present <= known):
        odd = sorted(present - known or present)[0]
        raise SynthanomError(
            f"{folder}: must be empty or hold a run, and holds something else ({odd}); choose another --out"
        )
    if CONFIG in present:
        _refuse_difference(folder / CONFIG, _settings(folder / CONFIG), settings)
    if FOLDS in present:
        stored = read_json(folder / FOLDS)
        _refuse_difference(folder / FOLDS, _identity(stored), _identity(json.loads(json.dumps(folds))))
    for part in PARTS:
        (folder / part).mkdir(parents=True, exist_ok=True)
    if FOLDS not in present:
        write_json(folder / FOLDS, folds)
    if CONFIG not in present:
        with replaced_file(folder / CONFIG) as file:
            file.write(yaml.safe_dump(settings, sort_keys=False).encode())


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep other processes from training in the same folder.

    Raises
    ------
    SynthanomError
        If one already does.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LOCK).open("w", encoding="utf-8") as file:
        try:
            take(file.fileno())
        except OSError as error:
            raise SynthanomError(
                f"{folder}: only one process may train here, and another one does; wait for it or choose another --out"
            ) from error
        yield


def record_start(folder: Path, environment: Mapping[str, Any]) -> None:
    """Add the environment of a start to `environment.json`, unless it is that of the start before.

    Raises
    ------
    SynthanomError
        If the file is damaged or cannot be written.
    """
    path = folder / ENVIRONMENT
    starts = read_json(path).get("starts", []) if path.exists() else []
    if not starts or starts[-1] != environment:
        write_json(path, {"starts": [*starts, environment]})


def finished(folder: Path) -> dict[str, Any] | None:
    """What a finished run noted at its end, or None if it is not finished."""
    path = folder / "last" / FINISHED
    return read_json(path) if path.exists() else None


def mark_finished(folder: Path, outcome: Mapping[str, Any]) -> None:
    """Note the end of a run; the last thing it writes.

    Raises
    ------
    SynthanomError
        If the file cannot be written.
    """
    write_json(folder / "last" / FINISHED, outcome)


def remove_leftovers(folder: Path) -> None:
    """Remove temporary files of an interrupted start; only while the folder is locked."""
    for part in ("", *PARTS):
        for path in (folder / part).glob(".*.tmp"):
            path.unlink(missing_ok=True)


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Write a JSON file for people, whole or not at all.

    Raises
    ------
    SynthanomError
        If it cannot be written.
    """
    with replaced_file(path) as file:
        file.write(json.dumps(value, indent=1, sort_keys=True, allow_nan=False).encode() + b"\n")


def read_json(path: Path) -> dict[str, Any]:
    """The JSON object in a file of a run.

    Raises
    ------
    SynthanomError
        If it is none.
    """
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise SynthanomError(f"{path}: must be readable JSON, got: {error}; train into an empty folder") from error
    if not isinstance(content, dict):
        raise SynthanomError(f"{path}: must hold a JSON object; train into an empty folder")
    return content


def _settings(path: Path) -> dict[str, Any]:
    """The stored settings in today's words: what an earlier version did not have is at its default."""
    try:
        return parse_config(read_settings(path), origin=str(path)).model_dump(mode="json")
    except SynthanomError as error:
        raise SynthanomError(f"{error}; another version wrote it: train into an empty folder") from error


def _identity(folds: Mapping[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in folds.items() if k not in _DESCRIPTIVE}


def _refuse_difference(path: Path, stored: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    """Raise if two settings differ, naming the first difference."""
    for key in sorted(stored.keys() | wanted.keys()):
        old, new = stored.get(key), wanted.get(key)
        if old == new:
            continue
        if isinstance(old, dict) and isinstance(new, dict):
            key, old, new = next(
                (f"{key}.{k}", old.get(k), new.get(k)) for k in {**old, **new} if old.get(k) != new.get(k)
            )
        raise SynthanomError(
            f"{path}: this folder holds a run with {key} = {_short(old)}, asked for is {_short(new)}; give the same "
            "settings to go on with it, or choose another --out"
        )


def _short(value: Any) -> str:
    text = json.dumps(value, sort_keys=True)
    return text if len(text) <= 60 else text[:57] + "..."


def sync(path: Path) -> None:
    """Make sure a file's content is on disk."""
    with path.open("rb+") as file:  # Windows synchronises only what may be written
        os.fsync(file.fileno())
