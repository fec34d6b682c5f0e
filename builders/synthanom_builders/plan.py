"""`plan.json`: what is built from what, settled before the first image is written and the same until the last."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from synthanom.arrays import canonical_json
from synthanom.errors import SynthanomError
from synthanom.manifest import replaced_file
from synthanom.shards.codecs import DEFAULT
from synthanom_builders.cases import Case

NAME = "plan.json"
KIND = "synthanom-plan"
FORMAT = 1
WAY_OUT = "run the command that the folder was begun with, or choose another --out"


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Everything that the units of a build depend on, but the images themselves.

    Attributes
    ----------
    options : mapping
        What was asked for (`BuildSettings.to_json`).
    cases : tuple of Case
        In row order: unit u of the healthy images holds cases u * unit_rows and on.
    problems : tuple of str
        One per case: why it leaves no row; empty where it does.
    digests : tuple of str
        One per case: of its files' bytes (`inputs.digest_of`); empty where it leaves no row, or in older plans.
    resolved : mapping
        What follows from the options and the cases: kind, shape, channels, contrasts, preprocessing, folds, donors,
        donor_folds, unit_rows.
    environment : mapping of str to str
        The fingerprint under which the build was begun; parts of another one could have other bytes.
    """

    options: Mapping[str, Any]
    cases: tuple[Case, ...]
    problems: tuple[str, ...]
    digests: tuple[str, ...]
    resolved: Mapping[str, Any]
    environment: Mapping[str, str]

    @property
    def shape(self) -> tuple[int, ...]:
        """Spatial shape of every image."""
        return tuple(self.resolved["shape"])

    @property
    def channels(self) -> int:
        """Channels of every image."""
        return int(self.resolved["channels"])

    @property
    def unit_rows(self) -> int:
        """Cases, or (case, variant) pairs, of one unit."""
        return int(self.resolved["unit_rows"])

    @property
    def variants(self) -> int:
        """Anomalous pictures per case and task."""
        return int(self.options["variants"])

    @property
    def codec(self) -> str:
        """How the shards are compressed."""
        return str(self.options.get("codec", DEFAULT))

    @property
    def tasks(self) -> dict[str, dict[str, Any]]:
        """Settings of every task, by stored name, in order."""
        return {task["name"]: task["settings"] for task in self.options["tasks"]}

    @property
    def request(self) -> dict[str, Any]:
        """The part that the same command on the same inputs gives again."""
        donors = self.resolved["donors"]
        known = {name: donors[name] for name in ("name", "sha256") if name in donors}
        return {"options": dict(self.options), "cases": [case.to_json() for case in self.cases], "donors": known}

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the plan: marks what was built by it."""
        return hashlib.sha256(canonical_json(self.to_json())).hexdigest()

    def units(self, stage: str) -> int:
        """Number of units of ``"healthy"`` or of any task."""
        rows = len(self.cases) * (1 if stage == "healthy" else self.variants)
        return -(-rows // self.unit_rows)

    def to_json(self) -> dict[str, Any]:
        """The plan as JSON."""
        return {
            "kind": KIND,
            "format": FORMAT,
            "options": dict(self.options),
            "cases": [case.to_json() for case in self.cases],
            "problems": list(self.problems),
            **({"digests": list(self.digests)} if any(self.digests) else {}),  # so that older plans keep their bytes
            "resolved": dict(self.resolved),
            "environment": dict(self.environment),
        }


def write_plan(out: Path, plan: Plan) -> None:
    """Write `plan.json` into `out`, whole or not at all.

    Raises
    ------
    SynthanomError
        If it cannot be written.
    """
    content = {**plan.to_json(), "digest": plan.digest}
    with replaced_file(out / NAME) as file:
        file.write(json.dumps(content, sort_keys=True, indent=1, allow_nan=False).encode("ascii") + b"\n")


def read_plan(out: Path) -> Plan:
    """Read the plan of a build.

    Raises
    ------
    SynthanomError
        If there is none, it is damaged, or a newer version wrote it.
    """
    path = out / NAME
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise SynthanomError(f"{path}: must be a readable plan of build-dataset, got '{error}'; {WAY_OUT}") from error
    if not isinstance(content, dict) or content.get("kind") != KIND:
        raise SynthanomError(f"{path}: must be a plan of build-dataset, got something else; {WAY_OUT}")
    if content.get("format") != FORMAT:
        raise SynthanomError(
            f"{path}: format must be {FORMAT}, got {content.get('format')!r}: another version of synthanom wrote it; "
            "upgrade with pip install --upgrade synthanom, or choose another --out"
        )
    try:
        plan = Plan(
            options=content["options"],
            cases=tuple(Case.from_json(case) for case in content["cases"]),
            problems=tuple(content["problems"]),
            digests=tuple(content.get("digests", [""] * len(content["cases"]))),
            resolved=content["resolved"],
            environment=content["environment"],
        )
        digest = plan.digest
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise SynthanomError(f"{path}: is damaged ({type(error).__name__}: {error}); {WAY_OUT}") from error
    if content.get("digest", digest) != digest:  # plans of older versions have none
        raise SynthanomError(f"{path}: its digest must match its content, and does not: it was changed; {WAY_OUT}")
    return plan


def difference(old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    """What the present command asks for otherwise than the plan in the folder does; empty if nothing.

    Parameters
    ----------
    old, new : mapping
        `Plan.request` of the folder and of the command.
    """
    parts = []
    for name in sorted({*old["options"], *new["options"]}):
        before, after = old["options"].get(name), new["options"].get(name)
        if before != after:
            parts.append(f"{name} was {_short(before)}, now {_short(after)}")
    if old["donors"] != new["donors"]:
        parts.append(f"donors were {_short(old['donors'])}, now {_short(new['donors'])}")
    return "; ".join([*parts, *_cases_differ(old["cases"], new["cases"])])


def _cases_differ(old: list[Any], new: list[Any]) -> list[str]:
    """At most one sentence about the inputs."""
    before, after = ({case["id"]: case for case in cases} for cases in (old, new))
    gone = [name for name in before if name not in after]
    added = [name for name in after if name not in before]
    changed = [name for name in before if name in after and before[name] != after[name]]
    found = [(names, what) for names, what in ((gone, "gone"), (added, "new"), (changed, "changed")) if names]
    return [f"images {what}: {len(names)}, the first {names[0]}" for names, what in found]


def _short(value: Any) -> str:
    text = json.dumps(value, sort_keys=True) if not isinstance(value, str) else value
    return text if len(text) <= 120 else text[:117] + "..."
