"""A folder of maps: whose it is, what lies in it, and filling it."""

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from synthanom.detectors.memory import GIB
from synthanom.detectors.scoring import WHOLE, Scoring
from synthanom.errors import SynthanomError
from synthanom.manifest import replaced_file
from synthanom.predicting.filling import Job, Made, fill
from synthanom.predicting.inputs import Scans, find_scans
from synthanom.predicting.reading import FORMAT, KIND, NAME, SCORES, read_prediction
from synthanom.predicting.within import asked_within
from synthanom.preprocess import Foreground, Pipeline
from synthanom.progress import Track, untold
from synthanom.training.checkpoint import ModelCard, read_card, versions
from synthanom.training.device import DeviceChoice
from synthanom.training.predict import common_card
from synthanom.volumes.dicom_seg import check_highdicom
from synthanom.volumes.dicomdir import dicomdir_notes

SKIPPED = "skipped.csv"


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What was done.

    Attributes
    ----------
    scores : dict of str to float
        Of the maps, by id.
    skipped : tuple of (path, reason)
        What could not be scored.
    notes : tuple of str
    """

    scores: dict[str, float]
    skipped: tuple[tuple[str, str], ...]
    notes: tuple[str, ...] = ()


def predict(
    runs: Sequence[Path],
    given: Path,
    out: Path,
    *,
    device: DeviceChoice = "auto",
    channels: str | None = None,
    foreground: str | None = None,
    allow_import: bool = False,
    scoring: Scoring = WHOLE,
    within: str | None = None,
    dicom_seg: bool = False,
    track: Track = untold,
) -> Outcome:
    """Score scans with one model or the mean of several, and write each map on its scan's own grid.

    Parameters
    ----------
    runs : paths of run or model folders
    given : path of a scan, or of a folder of scans
    out : path
        Gets one map per scan under the scan's relative path (NIfTI with the scan's affine; 16-bit PNG for pictures
        without one), ``scores.csv``, ``skipped.csv`` and ``predict.json``.
    device, allow_import : as `synthanom.training.predict.score_maps`
    channels, foreground : as `synthanom.predicting.inputs.find_scans`
    scoring : Scoring
        Windows and mirroring; without a bound on memory images are scored whole.
    within : str, optional
        A table of boxes (a path in .csv) or a pattern of masks beside the scans: scores count inside only.
    dicom_seg : bool
        Beside the maps of DICOM scans, write each as a fractional DICOM Segmentation, ``<id>.seg.dcm``.
    track : Track
        Shows how many maps of how many are computed: one per scan and model.

    Returns
    -------
    Outcome

    Raises
    ------
    SynthanomError
        Models that do not go together, nothing to score, an `out` that holds something else, or no scan could be
        scored.
    """
    card = common_card(runs)
    models = _models(runs)
    scoring.check_axes(len(card.shape))
    pipeline = Pipeline.from_dict(card.preprocessing)
    if dicom_seg:
        check_highdicom()
    _check_places(given, out)
    before = _earlier(out, models)
    region = None if within is None else asked_within(within, len(card.shape))
    listing = find_scans(given, card, channels, foreground, region)
    scans = listing.scans
    about = _about(runs, card, models, given) | _patterns(listing) | {"scoring": scoring.to_dict()}
    about["within"] = None if region is None else region.to_dict()
    _write_json(out / NAME, about | before)
    made = Made()
    scores, maps, skipped = made.scores, made.maps, made.skipped
    job = Job(
        out=out,
        runs=tuple(runs),
        card=card,
        device=device,
        allow_import=allow_import,
        scoring=scoring,
        within=region,
        dicom_seg=dicom_seg,
    )
    for _ in track("computing maps", fill(job, scans, made), len(scans) * len(runs)):
        pass
    _write_table(out / SKIPPED, ("path", "reason"), skipped)
    if not scores:
        raise SynthanomError(f"{given}: none of {len(scans)} scans could be scored; {skipped[0][0]}: {skipped[0][1]}")
    _write_table(out / SCORES, *_score_table(scores, about["thresholds"]))
    written = {path for paths in before.values() for path in paths.values()}
    for stale in sorted(written - set(maps.values()) - set(made.segmentations.values())):
        (out / stale).unlink(missing_ok=True)
    done = about | {"finished": True, "maps": maps, "skipped": [path for path, _ in skipped]}
    plain = [scan.id for scan in scans if listing.masks is not None and scan.mask is None and scan.id in scores]
    _write_json(
        out / NAME, done | {"without_mask": plain, "windows": made.windows, "segmentations": made.segmentations}
    )
    notes = [*_notes(listing, plain, len(scores), pipeline), *_window_notes(made.windows, scoring), *_unsegmented(made)]
    notes += dicomdir_notes(given) if given.is_dir() else ()
    return Outcome(scores=scores, skipped=tuple(skipped), notes=tuple(notes))


def _about(runs: Sequence[Path], card: ModelCard, models: list[dict[str, Any]], given: Path) -> dict[str, Any]:
    """What `predict.json` says from the beginning on; `finished` turns true when everything is written."""
    return {
        "kind": KIND,
        "format": FORMAT,
        "finished": False,
        "models": models,
        "preprocessing": card.preprocessing,
        "aggregation": card.sample_score().to_dict(),
        "thresholds": card.thresholds if len(runs) == 1 else {},  # calibrated for one model's scores, not for a mean's
        "input": str(given),
        "versions": versions(),
    }


def _patterns(listing: Scans) -> dict[str, Any]:
    """How `predict.json` says that contrasts and masks were told apart."""
    channels = None if listing.channels is None else {"pattern": listing.channels, "contrasts": list(listing.contrasts)}
    return {"channels": channels, "masks": None if listing.masks is None else {"pattern": listing.masks}}


def _notes(listing: Scans, plain: Sequence[str], scored: int, pipeline: Pipeline) -> Iterator[str]:
    """What was left out, and whose foreground follows a rule although masks were looked for; one line each."""
    if listing.unmatched:
        count, first = len(listing.unmatched), listing.unmatched[0]
        yield f"left out: {count} images that the pattern {listing.channels!r} does not match, the first {first}"
    if plain:
        rule = next((step.rule for step in pipeline.steps if isinstance(step, Foreground)), "none")
        yield (
            f"no mask {listing.masks!r} for {len(plain)} of {scored} scans, the first {plain[0]}: their foreground "
            f"follows the rule {rule}"
        )


def _score_table(
    scores: Mapping[str, float], thresholds: Mapping[str, float]
) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Columns and lines of the scores, with a call where the model has a threshold for whole images."""
    columns, cut = ("id", "score"), thresholds.get("sample")
    if cut is None:
        return columns, [(name, repr(score)) for name, score in scores.items()]
    return (*columns, "anomalous"), [(name, repr(score), str(int(score >= cut))) for name, score in scores.items()]


def _window_notes(windows: Mapping[str, Sequence[int]], scoring: Scoring) -> Iterator[str]:
    """Which scans were scored in windows, as the maps then depend on the memory; one line."""
    if windows:
        name, window = next(iter(windows.items()))
        why = "" if scoring.memory is None else f" in {scoring.memory / GIB:.3g} GiB (--memory)"
        yield f"scored in windows{why}: {len(windows)} scans, the first {name} in {' x '.join(map(str, window))} voxels"


def _unsegmented(made: Made) -> Iterator[str]:
    """Which maps have no DICOM Segmentation although they were asked for; one line."""
    if made.unsegmented:
        path, reason = made.unsegmented[0]
        yield f"no DICOM Segmentation for {len(made.unsegmented)} of {len(made.maps)} maps, the first {path}: {reason}"


def _models(runs: Sequence[Path]) -> list[dict[str, Any]]:
    """Name, digest and run of each model."""
    cards = [read_card(run) for run in runs]
    return [
        {"name": run.resolve().name, "sha256": card.weights_sha256, "run": card.training.get("run")}
        for run, card in zip(runs, cards, strict=True)
    ]


def _check_places(given: Path, out: Path) -> None:
    source, target = given.resolve(), out.resolve()
    if given.is_dir() and target.is_relative_to(source):
        raise SynthanomError(f"{out}: maps must not be written into {given}, where scans are looked for; name another")
    if out.exists() and not out.is_dir():
        raise SynthanomError(f"{out}: a folder for the maps is needed, this is a file; name another --out")


def _earlier(out: Path, models: list[dict[str, Any]]) -> dict[str, dict[str, str]]:
    """The maps and segmentations, by id, that an earlier run of the same models left in `out`.

    Raises
    ------
    SynthanomError
        If `out` holds anything else.
    """
    if not out.is_dir() or not any(out.iterdir()):
        return {"maps": {}, "segmentations": {}}
    found = read_prediction(out)
    if found is None:
        raise SynthanomError(f"{out}: holds something else than maps of synthanom predict; name an empty folder")
    weights = [model["sha256"] for model in models]
    if [model.get("sha256") for model in found.get("models", [])] != weights:
        raise SynthanomError(f"{out}: holds the maps of other models; name another folder, or delete this one")
    inside = out.resolve()
    return {
        what: {k: v for k, v in found.get(what, {}).items() if (out / str(v)).resolve().is_relative_to(inside)}
        for what in ("maps", "segmentations")
    }


def _write_json(path: Path, content: dict[str, Any]) -> None:
    with replaced_file(path) as file:
        file.write(json.dumps(content, indent=1, sort_keys=True, allow_nan=False).encode() + b"\n")


def _write_table(path: Path, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    with replaced_file(path) as file:
        file.write(text.getvalue().encode())
