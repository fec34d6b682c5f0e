"""A small data set whose anomalies really were synthesised, so that its recipes replay."""

from pathlib import Path

from phantoms import phantom

from synthanom.errors import SynthanomError
from synthanom.fold_donors import fold_donors, texture_settings
from synthanom.labels import FlippedGaussian
from synthanom.manifest import Manifest, TaskRecord, describe_file, write_manifest
from synthanom.preprocess import default_pipeline
from synthanom.shards import AnomalyRow, fingerprint, write_anomalies, write_healthy
from synthanom.streams import stream
from synthanom.synthesis import synthesise
from synthanom.tasks import TASKS


def write_real(
    folder: Path, *, shape=(24, 28), tasks=("inter_blend", "sink"), subjects=4, channels=1, variants=2,
    prefix="phantom-", skipped="",
) -> Path:  # fmt: skip
    """Write phantoms and `variants` anomalies of each task in each; a row that cannot be made is left out."""
    samples = [phantom(shape, channels, seed=i, name=f"{prefix}{i}") for i in range(subjects)]
    files = [write_healthy(folder / "healthy/00000.h5", samples, [(0,) * len(shape)] * subjects)]
    labeller = FlippedGaussian()
    donors = fold_donors_of(shape, channels)
    records = []
    for task in tasks:
        rows = [row for i, s in enumerate(samples) for v in range(variants) for row in made(i, s, task, (v, donors))]
        files.append(write_anomalies(folder / f"anomalies/{task}/00000.h5", rows, shape=shape, channels=channels))
        records.append(TaskRecord(name=task, settings=TASKS[task]().to_dict(), rows=len(rows)))
    (folder / "skipped.csv").write_text(f"path,stage,reason\n{skipped}")
    files.append(describe_file(folder, "skipped.csv"))
    manifest = Manifest(
        version="0.1.0",
        configuration={"donors": texture_settings(shape, channels, 1.0), "labeller": labeller.to_dict()},
        preprocessing=default_pipeline("volume").to_dict(),
        seed=0,
        shape=shape,
        channels=channels,
        variants=variants,
        tasks=tuple(records),
        folds={s.subject: 0 for s in samples},
        donor_folds={},
        counts={"healthy": subjects, "anomalies": sum(r.rows for r in records)},
        fingerprint=fingerprint(),
        files=tuple(sorted(files, key=lambda f: f.path)),
    )
    write_manifest(folder, manifest)
    return folder


def fold_donors_of(shape, channels):
    """The donors of the only fold: textures for `inter_blend`."""

    class NoRows:
        healthy_subjects: tuple[str, ...] = ()
        healthy_ids: tuple[str, ...] = ()

    return fold_donors(NoRows(), 0, texture_settings(shape, channels, 1.0), None)  # type: ignore[arg-type]


def made(index, sample, task, how):
    """The row as a list of one, or of none."""
    variant, donors = how
    try:
        result = synthesise(
            sample, TASKS[task](), FlippedGaussian(), rng=stream(0, sample.id, task, variant), donors=donors
        )
    except SynthanomError:
        return []
    return [
        AnomalyRow.from_arrays(
            index, variant, before=sample.image, after=result.image, label=result.label, region=result.region,
            recipe=result.recipe.to_json(), bounds=result.boxes,
        )
    ]  # fmt: skip
