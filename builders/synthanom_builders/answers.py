"""What `build-dataset --json` answers; the keys are listed in docs/long-runs.md."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from synthanom.unfinished.parts import Part
from synthanom_builders.build import Outcome
from synthanom_builders.estimate import Estimate
from synthanom_builders.plan import Plan
from synthanom_builders.truth import TruthOutcome


def build_answer(outcome: Outcome, part: Part | None, out: Path) -> dict[str, Any]:
    """A data set that is finished, or a part of one that is not."""
    manifest = outcome.manifest
    return {
        "data": str(out),
        "already": outcome.already,
        "part": None if part is None else str(part),
        "plan": outcome.plan.digest,
        "counts": None if manifest is None else dict(manifest.counts),
        "tasks": None if manifest is None else {task.name: task.rows for task in manifest.tasks},
        "bytes": None if manifest is None else sum(file.bytes for file in manifest.files),
        "skipped": [asdict(row) for row in outcome.skipped],
    }


def plan_answer(plan: Plan, needs: Estimate | None, workers: int) -> dict[str, Any]:
    """What a build would make."""
    folds = plan.resolved["folds"]
    images = [
        {"id": case.id, "subject": case.subject, "fold": folds[case.subject], "problem": problem or None}
        for case, problem in zip(plan.cases, plan.problems, strict=True)
    ]
    usable = sum(not problem for problem in plan.problems)
    return {
        "dry_run": True,
        "images": images,
        "counts": {"healthy": usable, "anomalies": usable * plan.variants * len(plan.tasks)},
        "shape": list(plan.shape),
        "channels": plan.channels,
        "tasks": list(plan.tasks),
        "variants": plan.variants,
        "workers": workers,
        "bytes": None if needs is None else needs.bytes,
        "seconds": None if needs is None else needs.seconds,
    }


def truth_answer(found: TruthOutcome, out: Path) -> dict[str, Any]:
    """A list of scans to test on."""
    return {
        "data": str(out),
        "scans": len(found.cases),
        "anomalous": sum(one.anomalous is True for one in found.cases),
        "healthy": sum(one.anomalous is False for one in found.cases),
        "masks": sum(one.masked for one in found.cases),
        "skipped": [{"path": path, "reason": reason} for path, reason in found.skipped],
    }
