"""From a listing and what the survey found to a plan; and what may be in the output folder before one is written."""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from synthanom.errors import SynthanomError
from synthanom.fold_donors import texture_settings
from synthanom.folds import deal
from synthanom.listed import is_listed, listed_bytes
from synthanom.manifest import NAME as MANIFEST
from synthanom.manifest import read_manifest
from synthanom.shards import DataSet, fingerprint, unit_rows
from synthanom.unfinished.records import FOLDER
from synthanom.volumes.reading import AS_STORED
from synthanom_builders import plan as plans
from synthanom_builders.folder import RULES, Listing
from synthanom_builders.plan import WAY_OUT, Plan, difference, read_plan
from synthanom_builders.settings import BuildSettings
from synthanom_builders.survey import Survey

PER_FOLD = 2  # subjects: intra_blend needs another one of the same fold
DEVIATION = {"z-score": 1.0, "minus-one-one": 0.5}  # of procedural textures: what normalised images have


class TooFewSubjects(SynthanomError):
    """A fold has fewer than two subjects with a usable image."""


def make_plan(listing: Listing, settings: BuildSettings, found: Survey) -> Plan:
    """Settle everything that is left.

    Raises
    ------
    SynthanomError
        If there are too few subjects for the folds, or the donors do not fit.
    """
    folds = deal_folds([case.subject for case in listing.cases], settings)
    usable = [case.subject for case, problem in zip(listing.cases, found.problems, strict=True) if not problem]
    check_folds(folds, usable, settings.folds)
    donors = _external_donors(settings, found) if settings.donors else _textures(found)
    pipeline = found.pipeline.to_dict()
    if settings.reading != AS_STORED:
        pipeline["reading"] = settings.reading.to_dict()
    if listing.contrasts:
        pattern = {} if listing.pattern is None else {"pattern": listing.pattern}
        names = {"names": list(listing.names)} if listing.names else {}
        pipeline["channels"] = {**pattern, "contrasts": list(listing.contrasts), **names}
    if settings.foreground not in RULES:
        pipeline["masks"] = {"pattern": settings.foreground}
    return Plan(
        options=settings.to_json(),
        cases=listing.cases,
        problems=found.problems,
        digests=found.digests,
        resolved={
            "kind": found.kind,
            "shape": list(found.shape),
            "channels": found.channels,
            "contrasts": list(listing.names or listing.contrasts),
            "preprocessing": pipeline,
            "folds": folds,
            "donors": donors,
            "unit_rows": unit_rows(found.channels, found.shape),
        },
        environment=fingerprint(settings.codec),
    )


def requested(listing: Listing, settings: BuildSettings) -> dict[str, Any]:
    """What `Plan.request` would be for this command."""
    return {
        "options": settings.to_json(),
        "cases": [case.to_json() for case in listing.cases],
        "donors": {} if settings.donors is None else donor_identity(settings.donors),
    }


def existing_plan(out: Path) -> Plan | None:
    """The plan in the output folder, if there is one.

    Raises
    ------
    SynthanomError
        If the folder holds something else, or a plan or data set that cannot be read.
    """
    if not out.exists():
        return None
    if not out.is_dir():
        raise SynthanomError(f"{out}: must be a folder, got a file; choose another --out")
    if (out / MANIFEST).exists():
        manifest = read_manifest(out)
        if is_listed(manifest, plans.NAME):
            listed_bytes(out, manifest, plans.NAME)  # a changed plan must not pass for another one
    if (out / plans.NAME).exists():
        return read_plan(out)
    others = sorted(entry.name for entry in out.iterdir() if not entry.name.startswith("."))
    if others:
        raise SynthanomError(
            f"{out}: must be empty, new, or a build to go on with, got {', '.join(others[:3])}; choose another --out"
        )
    return None


def keeps(out: Path, old: Plan, request: Mapping[str, Any], *, mixed: bool = False) -> bool:
    """Whether the plan in the folder is the one that this command asks for; False if it may be replaced.

    Parameters
    ----------
    out : Path
    old : Plan
        In the folder.
    request : mapping
        What the command asks for (`requested`).
    mixed : bool
        Whether units may be made under different fingerprints.

    Raises
    ------
    SynthanomError
        If it is another one and work was done by it, or this machine would make other bytes than the one before.
    """
    differs = difference(old.request, request)
    if differs and _begun(out):
        raise SynthanomError(f"{out}: was built from something else than this command names ({differs}); {WAY_OUT}")
    if differs or (out / MANIFEST).exists():
        return not differs
    here = fingerprint(old.codec)
    if mixed and _begun(out):
        return True
    changed = [name for name in sorted({*here, *old.environment}) if here.get(name) != old.environment.get(name)]
    if changed and _begun(out):
        name = changed[0]
        raise SynthanomError(
            f"{out}: was begun with {name} {old.environment.get(name)}, here it is {here.get(name)}: bytes may differ; "
            "go on where it was begun, build into another --out, or allow it with --mixed-fingerprints"
        )
    return not changed


def deal_folds(subjects: Sequence[str], settings: BuildSettings) -> dict[str, int]:
    """Deal the subjects of all planned cases, readable or not, so that a bad file moves nobody.

    Raises
    ------
    SynthanomError
        If there are too few.
    """
    count = len(set(subjects))
    if count < PER_FOLD * settings.folds:
        raise SynthanomError(
            f"{settings.folds} folds need at least {PER_FOLD * settings.folds} subjects, two each, got {count} in "
            f"{len(subjects)} images; add scans of other subjects, name the subjects with --subjects, or ask for fewer "
            "--folds (or --tasks)"
        )
    return deal(subjects, settings.folds, settings.seed)


def check_folds(folds: Mapping[str, int], usable: Sequence[str], count: int) -> None:
    """Refuse a fold with fewer than two subjects that have a usable image.

    Raises
    ------
    TooFewSubjects
        Naming the fold.
    """
    sizes = Counter(folds[subject] for subject in set(usable))
    for fold in range(count):
        if sizes[fold] < PER_FOLD:
            raise TooFewSubjects(
                f"fold {fold} of {count} must have at least {PER_FOLD} subjects with a usable image, got {sizes[fold]} "
                f"({len(set(usable))} usable subjects in all); add or repair scans, or ask for fewer --folds or --tasks"
            )


def donor_identity(folder: Path) -> dict[str, str]:
    """Name of a donors' data set and digest of its `dataset.json`.

    Raises
    ------
    SynthanomError
        If it is no finished data set.
    """
    read_manifest(folder)
    digest = hashlib.sha256((folder / MANIFEST).read_bytes()).hexdigest()
    return {"name": folder.resolve().name, "sha256": digest}


def _external_donors(settings: BuildSettings, found: Survey) -> dict[str, Any]:
    """The configuration of a donors' data set, its subjects dealt like the own ones."""
    assert settings.donors is not None
    with DataSet.open(settings.donors) as data:
        if len(data.shape) != len(found.shape) or data.channels != found.channels:
            raise SynthanomError(
                f"{settings.donors}: donors must have {len(found.shape)} axes and {found.channels} channels like the "
                f"images, got {len(data.shape)} and {data.channels}; build them with the same channels"
            )
        subjects = data.healthy_subjects
    if len(set(subjects)) < settings.folds:
        raise SynthanomError(
            f"{settings.donors}: {settings.folds} folds need at least as many donors' subjects, got "
            f"{len(set(subjects))}; use a larger donor set or fewer --folds"
        )
    return {
        "kind": "data set",
        **donor_identity(settings.donors),
        "path": str(settings.donors.resolve()),
        "folds": deal(subjects, settings.folds, settings.seed),
    }


def _textures(found: Survey) -> dict[str, Any]:
    names = [step["name"] for step in found.pipeline.to_dict()["steps"]]
    deviation = next((DEVIATION[name] for name in names if name in DEVIATION), 1.0)
    return texture_settings(found.shape, found.channels, deviation)


def _begun(out: Path) -> bool:
    """Whether anything but the plan and its draft was written."""
    made = (f"{FOLDER}/*-*.json", "healthy/*.h5", "anomalies/*/*.h5", MANIFEST)
    return any(any(out.glob(pattern)) for pattern in made)
