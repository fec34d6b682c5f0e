"""Every value of a data set as its readers give it: rows, pictures, recipes, tables, batches, the plan."""

import hashlib
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from synthanom_builders.plan import KIND as PLAN
from synthanom_builders.planning import existing_plan

from synthanom.errors import SynthanomError
from synthanom.listed import is_listed, listed_bytes, listed_rows
from synthanom.manifest import read_manifest
from synthanom.shards import DataSet
from synthanom.training.batches import StoredPictures, make_loader
from synthanom.training.folds import choose_run
from synthanom.training.rows import index_rows, training_picks, validation_picks

REFUSED, BROKE = "refused: ", "broke: "
Questions = Mapping[str, Callable[[], object]]


def everything(folder: Path) -> dict[str, str]:
    """What a reader gives that opens the data set now; see `answers`."""
    found = answers({"manifest": lambda: read_manifest(folder), "plan": lambda: _plan(folder)})
    if not found["manifest"].startswith((REFUSED, BROKE)):
        with DataSet.open(folder) as data:
            found |= answers(questions(data))
    return found


def answers(asked: Questions) -> dict[str, str]:
    """A digest of each answer; ``"refused: "`` and the message for one of our errors, ``"broke: "`` for any other."""
    found = {}
    for name, question in asked.items():
        try:
            found[name] = digest(question())
        except SynthanomError as error:
            found[name] = f"{REFUSED}{error}"
        except Exception as error:
            where = traceback.extract_tb(error.__traceback__)[-1]
            found[name] = f"{BROKE}{type(error).__name__}: {error} ({Path(where.filename).name}:{where.lineno})"
    return found


def wrong(found: Mapping[str, str], intact: Mapping[str, str], folder: Path) -> list[str]:
    """Answers that are neither right nor refused in one line that names a file of the data set."""
    bad = []
    for name, answer in found.items():
        if answer.startswith(REFUSED):
            if "\n" in answer or str(folder) not in answer:
                bad.append(f"{name}: must be refused in one line that names the file, got {answer!r}")
        elif answer != intact[name]:
            bad.append(f"{name}: {answer if answer.startswith(BROKE) else 'other values'}")
    return bad


def questions(data: DataSet) -> Questions:
    """Everything that one can ask an open data set."""
    asked: dict[str, Callable[[], object]] = {
        "own manifest": lambda: data.manifest,
        "about": lambda: (data.shape, data.channels, data.tasks, data.folds, len(data)),
        "ids": lambda: (data.healthy_ids, data.healthy_subjects),
        "all": lambda: list(data),
    }
    for record in data.manifest.files:
        if record.path.endswith(".csv"):
            asked[record.path] = partial(listed_rows, data.folder, data.manifest, record.path)
    for row in range(len(data)):
        asked |= {f"healthy {row}": partial(data.healthy, row), f"offset {row}": partial(data.offset, row)}
    for task in data.tasks:
        asked[f"{task} made from"] = partial(data.made_from, task)
        asked[f"{task} rows of"] = partial(_rows_of, data, task)
        for row in range(data.rows(task)):
            asked[f"{task} {row} stored"] = partial(data.anomaly_row, task, row)
            asked[f"{task} {row} recipe"] = partial(data.recipe, task, row)
            asked[f"{task} {row} marks"] = partial(data.marks, task, row)
            asked[f"{task} {row}"] = partial(data.anomaly, task, row)
    asked["training"] = lambda: list(_batches(data))
    return asked


def digest(value: object) -> str:
    """SHA-256 of a value, to the last bit of its arrays."""
    found = hashlib.sha256()
    for part in _parts(value):
        found.update(part)
    return found.hexdigest()


def _parts(value: Any) -> Iterator[bytes]:
    if isinstance(value, torch.Tensor):
        value = value.numpy()
    if isinstance(value, np.ndarray):
        yield f"{value.dtype} {value.shape}".encode() + value.tobytes()
    elif is_dataclass(value):
        for field in fields(value):
            yield field.name.encode()
            yield from _parts(getattr(value, field.name))
    elif isinstance(value, Mapping):
        yield from _parts(sorted(value.items()))
    elif isinstance(value, list | tuple):
        yield str(len(value)).encode()
        for each in value:
            yield from _parts(each)
    else:
        yield f"{type(value).__name__} {value!r}".encode()


def _rows_of(data: DataSet, task: str) -> object:
    variants = range(data.manifest.variants)
    return [(data.rows_of(task, i), [data.row_of(task, i, v) for v in variants]) for i in range(len(data))]


def _batches(data: DataSet) -> Iterator[object]:
    """An epoch and a validation as training reads them."""
    run = choose_run(data.tasks, 1, 0)
    index = index_rows(data, run)
    picks = [*training_picks(index, run, epoch=1, seed=0, flip=0.5), *validation_picks(index, run)]
    for batch in make_loader(StoredPictures(data=data), picks, batch_size=4, workers=0):
        yield tuple(batch)


def _plan(folder: Path) -> object:
    """The plan as a build reads it that finds the data set finished; the bytes of what is no plan of a build."""
    manifest = read_manifest(folder)
    if not is_listed(manifest, "plan.json"):
        return None
    content = listed_bytes(folder, manifest, "plan.json")
    if PLAN.encode() not in content:
        return content
    plan = existing_plan(folder)
    return None if plan is None else plan.to_json()
