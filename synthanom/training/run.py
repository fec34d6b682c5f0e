"""Training one run from a data set into a run folder, from its beginning or from where it was interrupted."""

import hashlib
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from lightning.pytorch import Trainer

from synthanom.arrays import canonical_json
from synthanom.errors import SynthanomError
from synthanom.progress import Progress, Track, silent
from synthanom.shards import DataSet
from synthanom.training.calibrate import calibrate
from synthanom.training.checkpoint import load_model, save_card, versions
from synthanom.training.config import AggregationConfig, TrainingConfig, load_config
from synthanom.training.device import DeviceChoice, checked_devices, chosen_device
from synthanom.training.execution import check_compiler
from synthanom.training.fit import PlannedFit, fit, planned_fit
from synthanom.training.folder import finished, locked, mark_finished, prepare_folder, record_start, remove_leftovers
from synthanom.training.folds import Run
from synthanom.training.kinds import kinds_of, same_kind_pairs
from synthanom.training.panel import examples, write_panel
from synthanom.training.plan import describe, plan
from synthanom.training.processes import others
from synthanom.training.rows import RowIndex, validation_picks
from synthanom.training.showing import Batches


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How a training command ended.

    Attributes
    ----------
    folder : Path
    reason : str
        ``"epochs"``: all were done; ``"patience"``: no better validation loss for long enough.
    epochs, best_epoch : int
    best_loss : float
    trained : bool
        False if the run was finished before.
    """

    folder: Path
    reason: Literal["epochs", "patience"]
    epochs: int
    best_epoch: int
    best_loss: float
    trained: bool


def train(
    data: DataSet,
    out: Path,
    *,
    config: TrainingConfig,
    train_tasks: int = 1,
    run: int = 0,
    workers: int = 0,
    device: DeviceChoice = "auto",
    devices: int = 1,
    donors: Sequence[Path] = (),
    report: Callable[[str], None] | None = None,
    progress: Progress | None = None,
) -> Outcome:
    """Train one run of the task x fold cross-validation.

    A run that was interrupted goes on from its last finished epoch and ends with the weights it would have had; one
    that is finished is left alone.

    Parameters
    ----------
    data : DataSet
    out : Path
        The run's folder.
    config : TrainingConfig
    train_tasks, run : int
        Number of training tasks, and which of the runs with as many.
    workers : int
        Processes that read pictures, or make them in live training on a CPU; the result does not depend on it.
    device : str
        ``"auto"``, ``"cpu"`` or ``"cuda"``.
    devices : int
        So many GPUs of this machine, or processes on its CPU, share every batch; the loss is that of one.
    donors : sequence of Path
        Where live training looks for the data set of external donors, as
        `synthanom.training.live.live_pictures` takes it.
    report : callable, optional
        Told one line per epoch.
    progress : Progress, optional
        Shows how many batches are done, of those that the run will have if its patience lasts.

    Returns
    -------
    Outcome

    Raises
    ------
    SynthanomError
        A data set that does not suit the protocol, a folder that holds something else, a loss that is not finite, a
        full disk.
    KeyboardInterrupt
        On Ctrl-C; calling again goes on.
    """
    if workers < 0 or config.validate_every > config.epochs:
        raise SynthanomError(
            f"workers must be at least 0 and validate_every at most epochs, got {workers} workers, validate_every "
            f"{config.validate_every}, epochs {config.epochs}"
        )
    if donors and not config.live:
        raise SynthanomError(
            f"--donors is where --live looks for donors, got {donors[0]} without it; leave it out, or add --live"
        )
    target = chosen_device(device)
    checked_devices(devices, target, config.batch_size)
    chosen, index = plan(data, config, train_tasks=train_tasks, run=run)
    if config.compile:
        check_compiler(target)
    prepare_folder(out, config, describe(data, chosen, train_tasks))
    with locked(out):
        remove_leftovers(out)
        done = finished(out)
        if done is not None:
            return Outcome(folder=out, **done, trained=False)
        record_start(out, environment(target))
        told = (report, progress or silent())
        told[1].record(
            f"settings {_digest(config)}, data set {data.manifest.to_dict()['digest']}, run {chosen.to_dict()}"
        )
        if target == "cpu" and _is_the_papers(config, data.shape):
            told[1].tell(
                "the paper's network and schedule take hours to days on a CPU; "
                "--config cpu_small takes minutes to hours"
            )
        alike = same_kind_pairs(chosen, kinds_of(data.tasks))
        if alike:
            told[1].record(f"of one kind on both sides: {', '.join(' and '.join(pair) for pair in alike)}")
        request = {
            "data": str(data.folder.resolve()),
            "out": str(out.resolve()),
            "config": config.model_dump(mode="json"),
            "train_tasks": train_tasks,
            "run": run,
            "workers": workers,
            "device": target,
            "ranks": devices,
            "donors": [str(folder.resolve()) for folder in donors],
        }
        return _fit(data, out, config=config, run=chosen, index=index, request=request, told=told)


def _digest(config: TrainingConfig) -> str:
    """SHA-256 of the settings."""
    return hashlib.sha256(canonical_json(config.model_dump(mode="json"))).hexdigest()


def _is_the_papers(config: TrainingConfig, shape: Sequence[int]) -> bool:
    paper = load_config(None, shape)
    return config.network == paper.network and config.epochs == paper.epochs


def environment(device: str) -> dict[str, Any]:
    """What results may depend on besides the configuration."""
    import lightning

    return {
        **versions(),
        "lightning": lightning.__version__,
        "platform": platform.platform(),
        "device": torch.cuda.get_device_name() if device == "cuda" else "cpu",
        "threads": torch.get_num_threads(),
    }


def _fit(
    data: DataSet,
    out: Path,
    *,
    config: TrainingConfig,
    run: Run,
    index: RowIndex,
    request: Mapping[str, Any],
    told: tuple[Callable[[str], None] | None, Progress],
) -> Outcome:
    report, progress = told
    workers, device, ranks = request["workers"], request["device"], request["ranks"]
    donors = [Path(folder) for folder in request["donors"]]
    with others(request, ranks, out / "logs") as members, Batches.shown(progress) as batches:
        planned = planned_fit(
            data,
            out,
            config=config,
            run=run,
            index=index,
            workers=workers,
            device=device,
            ranks=ranks,
            donors=donors,
            report=report,
        )
        members.wait()
        trainer = fit(planned, further=(batches,), first=True)
    return _finish(data, out, run, index, trainer, planned, progress.track)


def _finish(
    data: DataSet, out: Path, run: Run, index: RowIndex, trainer: Trainer, planned: PlannedFit, track: Track
) -> Outcome:
    """Score, thresholds and a picture for the best model, then the mark that the run is finished."""
    config, keeper = planned.module.config, planned.keeper
    picks = validation_picks(index, run)
    model = load_model(out, allow_import=True)
    model.detector.module.to(planned.device)
    found = calibrate(model, data, picks, aggregation=config.aggregation, settings=config.calibration, track=track)
    training = {
        **model.card.training,
        "validation": found.figures,
        "aggregations_tried": list(found.tried),
        "calibration": config.calibration.model_dump(mode="json"),
        "held_out": found.held_out,
        "threshold_curves": found.curves,
    }
    aggregation = AggregationConfig.model_validate(found.aggregation.to_dict())
    changes = {"thresholds": found.thresholds, "training": training, "aggregation": aggregation}
    save_card(out / "best", model.card.model_copy(update=changes))
    write_panel(out / "pictures" / "validation.png", model, data, examples(picks))
    outcome: dict[str, Any] = {
        "reason": "patience" if keeper.exhausted(trainer) else "epochs",
        "epochs": int(trainer.current_epoch),
        "best_epoch": keeper.best_epoch,
        "best_loss": keeper.best_loss,
    }
    mark_finished(out, outcome)
    return Outcome(folder=out, **outcome, trained=True)
