"""From a plan to what finishing needs to know of it."""

from synthanom import __version__
from synthanom.manifest import Manifest, TaskRecord
from synthanom.unfinished.draft import Draft
from synthanom_builders.plan import Plan

SHOWN = ("kind", "contrasts", "donors")  # of what a plan resolved, in the configuration


def draft_of(plan: Plan) -> Draft:
    """The draft of a data set."""
    resolved = plan.resolved
    manifest = Manifest(
        version=__version__,
        configuration={**plan.options, **{name: resolved[name] for name in SHOWN}},
        preprocessing=resolved["preprocessing"],
        seed=int(plan.options["seed"]),
        shape=plan.shape,
        channels=plan.channels,
        variants=plan.variants,
        tasks=tuple(TaskRecord(name=name, settings=settings, rows=0) for name, settings in plan.tasks.items()),
        folds=resolved["folds"],
        donor_folds=resolved["donors"].get("folds", {}),
        counts={"healthy": 0, "anomalies": 0},
        fingerprint=plan.environment,
        files=(),
    )
    return Draft(
        plan=plan.digest,
        manifest=manifest,
        units={stage: plan.units(stage) for stage in ("healthy", *plan.tasks)},
        ids=tuple(case.id for case in plan.cases),
        subjects=tuple(case.subject for case in plan.cases),
        columns=tuple(case.columns for case in plan.cases),
    )
