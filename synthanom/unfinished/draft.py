"""What finishing a data set needs to know of its plan, in one file beside the records of its units."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from synthanom.arrays import canonical_json
from synthanom.errors import SynthanomError
from synthanom.manifest import Manifest, manifest_from_json, replaced_file
from synthanom.unfinished.records import FOLDER

NAME = "draft.json"
PLAN = "plan.json"
WAY_OUT = "run its build-dataset command again"


@dataclass(frozen=True, kw_only=True)
class Draft:
    """The manifest of a data set without what its units will add.

    Attributes
    ----------
    plan : str
        Digest of the plan.
    manifest : Manifest
        Without files and counts.
    units : mapping of str to int
        How many units each stage has, in order: ``"healthy"``, then every task.
    ids : tuple of str
        Of the cases, in row order.
    columns : tuple of mappings
        One per case: what `cases.csv` says of it besides id, subject and fold.
    subjects : tuple of str
        One per case.
    """

    plan: str
    manifest: Manifest
    units: Mapping[str, int]
    ids: tuple[str, ...]
    subjects: tuple[str, ...]
    columns: tuple[Mapping[str, str], ...]


def write_draft(out: Path, draft: Draft) -> None:
    """Leave the draft in `out`.

    Raises
    ------
    SynthanomError
        If it cannot be written.
    """
    manifest = draft.manifest.to_dict()
    del manifest["digest"]
    content = {
        "plan": draft.plan,
        "manifest": manifest,
        "units": list(draft.units.items()),
        "ids": list(draft.ids),
        "subjects": list(draft.subjects),
        "columns": [dict(row) for row in draft.columns],
    }
    with replaced_file(out / FOLDER / NAME) as file:
        file.write(json.dumps(content, sort_keys=True, allow_nan=False).encode("ascii"))


def read_draft(out: Path) -> Draft:
    """The draft in a folder, after the plan was found to be the one that it was made for.

    Raises
    ------
    SynthanomError
        If there is none, or it is damaged.
    """
    path = out / FOLDER / NAME
    if not out.is_dir():
        raise SynthanomError(f"{out}: must be a folder in which build-dataset works, got no folder; check the path")
    if not path.is_file():
        raise SynthanomError(f"{out}: must hold a build that was begun, got none; {WAY_OUT}")
    try:
        content = json.loads(path.read_text(encoding="ascii"))
        draft = _from_json(path, content)
        plan = json.loads((out / PLAN).read_text(encoding="utf-8"))
        digest = hashlib.sha256(canonical_json({k: v for k, v in plan.items() if k != "digest"})).hexdigest()
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise SynthanomError(f"{path}: must be readable beside {PLAN}, got '{error}'; {WAY_OUT}") from error
    if digest != draft.plan:
        raise SynthanomError(f"{out / PLAN}: must be the plan that the build was begun with, got another; {WAY_OUT}")
    return draft


def _from_json(path: Path, content: Mapping[str, Any]) -> Draft:
    return Draft(
        plan=content["plan"],
        manifest=manifest_from_json(path, content["manifest"]),
        units={str(name): int(count) for name, count in content["units"]},
        ids=tuple(content["ids"]),
        subjects=tuple(content["subjects"]),
        columns=tuple(content["columns"]),
    )
