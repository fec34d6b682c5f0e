"""When a loss is not finite: which pictures it was computed on, and how to look at them."""

import json
import math
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from synthanom.detectors.abstract import AbstractDetector
from synthanom.errors import SynthanomError
from synthanom.recipe import Recipe
from synthanom.training.batches import PictureSource, StoredPictures, TrainingBatch, read_batch
from synthanom.training.folder import write_json
from synthanom.training.live import LivePictures
from synthanom.training.rows import Pick

FOLDER = Path("logs") / "not_finite"
NAMED = 3  # pictures in the one line; the file lists all


@dataclass(frozen=True, kw_only=True)
class Spoiled:
    """A batch whose loss is not finite.

    Attributes
    ----------
    side : str
        ``"training"`` or ``"validation"``.
    step, epoch : int
    loss : float
    picks : tuple of Pick
    rank : int
        Which of several processes it was.
    earlier : tuple of Pick
        The batch before, if any: where the weights were spoiled already, its step did it.
    """

    side: str
    step: int
    epoch: int
    loss: float
    picks: tuple[Pick, ...]
    rank: int = 0
    earlier: tuple[Pick, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Culprits:
    """Describes the pictures of a spoiled batch in a file of the run's folder; recipes of live ones have their own.

    Attributes
    ----------
    run : Path or None
        The run's folder; None writes nothing.
    source : PictureSource or None
    """

    run: Path | None = None
    source: PictureSource | None = None

    def found(self, spoiled: Spoiled, detector: AbstractDetector) -> SynthanomError:
        """The error to raise; the files that it names are written.

        Raises
        ------
        SynthanomError
            If a file cannot be written.
        """
        blame = _weights_finite(detector)
        head = f"the {spoiled.side} loss must stay finite, got {spoiled.loss} in step {spoiled.step}"
        advice = "lower optimiser.learning_rate, or look at the pictures"
        if self.run is None or self.source is None:
            return SynthanomError(f"{head} (epoch {spoiled.epoch}); {advice}")
        process = f"-process-{spoiled.rank + 1}" if spoiled.rank else ""  # two may come to this at once
        path = self.run / FOLDER / f"{spoiled.side}-step-{spoiled.step}{process}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        pictures = [self._described(pick, detector, path) for pick in spoiled.picks]
        content: dict[str, Any] = {
            "side": spoiled.side,
            "step": spoiled.step,
            "epoch": spoiled.epoch,
            "loss": str(spoiled.loss),
            "weights_finite": blame,
            "pictures": pictures,
            "pictures_of_the_step_before": [self._described(pick, detector, path) for pick in spoiled.earlier],
        }
        write_json(path, content)
        bad = [p for p in pictures if not (p["image_finite"] and p["label_finite"])] or pictures
        names = ", ".join(_name(p) for p in bad[:NAMED]) + (f" and {len(bad) - NAMED} more" if len(bad) > NAMED else "")
        spoilt = "" if blame else "; the weights were spoiled before, by the step before"
        return SynthanomError(
            f"{head} (epoch {spoiled.epoch}){spoilt}; on {names}; {path} has their recipes and the commands that show "
            f"them; {advice}"
        )

    def _described(self, pick: Pick, detector: AbstractDetector, path: Path) -> dict[str, Any]:
        """A picture with everything that is known of it; a recipe that nothing stores is written beside `path`."""
        assert self.source is not None
        batch = read_batch(self.source, [pick])
        image, label = batch.images[0].numpy(), batch.labels[0].numpy()
        data = _stored(self.source).data
        known: dict[str, Any] = {
            "id": data.healthy_ids[pick.healthy],
            "healthy_row": pick.healthy,
            "task": pick.task,
            "row": pick.row,
            "epoch": pick.epoch,
            "flipped": pick.flip,
            "thick_slices": None if pick.thick is None else list(pick.thick),
            "image_finite": bool(np.isfinite(image).all()),
            "label_finite": bool(np.isfinite(label).all()),
            "largest": _number(float(np.abs(image).max())),
            "loss": _number(_loss(detector, batch)),
            "recipe": None,
            "command": None,
        }
        suffix = "png" if image.ndim == 3 and len(image) == 1 else "nii.gz"
        if pick.task is not None and pick.row is not None:
            words = ["synthanom", "replay", str(data.folder), pick.task, str(pick.row)]
            known["command"] = shlex.join([*words, "--out", f"{pick.task}-{pick.row}.{suffix}"])
            known["recipe"] = json.loads(data.anomaly(pick.task, pick.row).recipe)
        elif pick.task is not None and isinstance(self.source, LivePictures):
            recipe: Recipe | None = self.source.recipe(pick)
            if recipe is not None:
                drawn = path.with_name(f"{path.stem}-{pick.task}-of-row-{pick.healthy}.json")
                write_json(drawn, recipe.to_dict())
                words = ["synthanom", "replay", str(data.folder), "--recipe", str(drawn)]
                known["command"] = shlex.join([*words, "--out", f"{drawn.stem}.{suffix}"])
                known["recipe"] = recipe.to_dict()
        return known


def _stored(source: PictureSource) -> StoredPictures:
    if isinstance(source, LivePictures):
        return source.stored
    assert isinstance(source, StoredPictures)
    return source


def _weights_finite(detector: AbstractDetector) -> bool:
    return all(bool(torch.isfinite(p).all()) for p in detector.module.parameters())


def _loss(detector: AbstractDetector, batch: TrainingBatch) -> float:
    """The loss of one picture by the present weights."""
    device = next(detector.module.parameters()).device
    with torch.no_grad():
        return float(detector.loss(TrainingBatch(batch.images.to(device), batch.labels.to(device))).total)


def _number(value: float) -> float | str:
    """For JSON, which has no word for what is not finite."""
    return value if math.isfinite(value) else str(value)


def _name(picture: dict[str, Any]) -> str:
    if picture["row"] is None:
        return f"{picture['task'] or 'healthy'} of {picture['id']}"
    return f"{picture['task']} row {picture['row']}"
