"""Training one run from a data set into a run folder, from its beginning or from where it was interrupted."""

import hashlib
import logging
import pickle
import platform
import signal
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from lightning.pytorch import Trainer
from lightning.pytorch.loggers import CSVLogger

from synthanom.arrays import canonical_json
from synthanom.errors import SynthanomError
from synthanom.progress import Progress, Track, silent
from synthanom.shards import DataSet
from synthanom.training.batches import PictureSource, StoredPictures
from synthanom.training.calibrate import calibrate
from synthanom.training.checkpoint import ModelCard, build_detector, load_model, save_card, versions
from synthanom.training.config import TrainingConfig
from synthanom.training.device import DeviceChoice, chosen_device
from synthanom.training.fitting import Fitting, Keeper
from synthanom.training.folder import (
    RESUME,
    finished,
    locked,
    mark_finished,
    prepare_folder,
    record_start,
    remove_leftovers,
)
from synthanom.training.folds import Run, check_folds, check_kinds, choose_run, same_kind_pairs
from synthanom.training.keyed import keyed_number
from synthanom.training.panel import examples, write_panel
from synthanom.training.rows import RowIndex, index_rows, training_picks, validation_picks
from synthanom.training.showing import Batches

# what Lightning and torch say about choices that are made on purpose here; everything else is shown
EXPECTED_WARNINGS = (
    r".*does not have many workers.*",
    r".*smaller than the logging interval.*",
    r"GPU available but not used.*",
    r".*Experiment logs directory.*exists and is not empty.*",
    r".*`isinstance\(treespec, LeafSpec\)` is deprecated.*",
)
CHATTY_LOGGERS = ("lightning.pytorch", "lightning.fabric", "lightning.pytorch.utilities.rank_zero")


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
    report : callable, optional
        Told one line per epoch.
    progress : Progress, optional
        Shows how many batches are done, of those that the run will have if its patience lasts.

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
    chosen, index = plan(data, config, train_tasks=train_tasks, run=run)
    target = chosen_device(device)
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
        return _fit(data, out, config=config, run=chosen, index=index, workers=workers, device=target, told=told)


def plan(data: DataSet, config: TrainingConfig, *, train_tasks: int, run: int) -> tuple[Run, RowIndex]:
    """The run and its rows, after everything that can be refused before any work was checked.

    Raises
    ------
    SynthanomError
        As `train`.
    """
    check_folds(data.tasks, data.folds)
    chosen = choose_run(data.tasks, train_tasks, run, pairing=config.pairing)
    check_kinds(chosen, task_kinds(data), allow_same_kind=config.allow_same_kind)
    index = index_rows(data, chosen)
    training_picks(index, chosen, epoch=0, seed=config.seed, flip=0.0, live=config.live)
    validation_picks(index, chosen)
    return chosen, index


def _digest(config: TrainingConfig) -> str:
    """SHA-256 of the settings."""
    return hashlib.sha256(canonical_json(config.model_dump(mode="json"))).hexdigest()


def task_kinds(data: DataSet) -> dict[str, str]:
    """Kind of each task of the data set that this version knows."""
    from synthanom.tasks import TASKS

    return {name: TASKS[name].kind for name in data.tasks if name in TASKS}


def describe(data: DataSet, run: Run, train_tasks: int) -> dict[str, Any]:
    """What `folds.json` says."""
    kinds = task_kinds(data)
    held = {str(f): sorted(s for s, fold in data.folds.items() if fold == f) for f in sorted(set(data.folds.values()))}
    return {
        "format": 1,
        "dataset": str(data.folder),
        "dataset_digest": data.manifest.to_dict()["digest"],
        "training_tasks": train_tasks,
        "run": run.to_dict(),
        "kinds": kinds,
        "same_kind_on_both_sides": [list(pair) for pair in same_kind_pairs(run, kinds)],
        "subjects": held,
    }


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
    workers: int,
    device: Literal["cpu", "cuda"],
    told: tuple[Callable[[str], None] | None, Progress],
) -> Outcome:
    report, progress = told
    with torch.random.fork_rng():  # the caller's random state is given back
        torch.manual_seed(keyed_number(config.seed, "weights"))
        detector = build_detector(
            config.network, channels=data.channels, shape=data.shape, positions=config.positions, allow_import=True
        )
        module = Fitting(detector, _source(data, run, config), index=index, run=run, config=config, workers=workers)
        keeper = Keeper(out, detector.module, _card(data, run, config), patience=config.patience_steps, report=report)
        with _quiet(), Batches.shown(progress) as batches:
            trainer = Trainer(
                max_epochs=config.epochs,
                accelerator="gpu" if device == "cuda" else "cpu",
                devices=1,
                precision=config.precision,
                logger=CSVLogger(save_dir=out / "logs", name=""),
                callbacks=[keeper, batches],
                check_val_every_n_epoch=config.validate_every,
                reload_dataloaders_every_n_epochs=1,
                num_sanity_val_steps=0,
                enable_checkpointing=False,
                enable_progress_bar=False,
                enable_model_summary=False,
            )
            _run_trainer(trainer, module, _resume_file(out))
    return _finish(data, out, run, index, trainer, keeper, progress.track)


def _source(data: DataSet, run: Run, config: TrainingConfig) -> PictureSource:
    if not config.live:
        return StoredPictures(data=data)
    from synthanom.training.live import live_pictures

    return live_pictures(data, run, seed=config.seed)


def _card(data: DataSet, run: Run, config: TrainingConfig) -> ModelCard:
    training: Mapping[str, Any] = {
        "dataset_digest": data.manifest.to_dict()["digest"],
        "run": run.to_dict(),
        "seed": config.seed,
        "live": config.live,
    }
    return ModelCard(
        detector=config.detector,
        network=config.network,
        positions=config.positions,
        channels=data.channels,
        shape=tuple(data.shape),
        preprocessing=dict(data.manifest.preprocessing),
        aggregation=config.aggregation,
        thresholds={},
        training=dict(training),
        versions=versions(),
        weights_sha256="0" * 64,
    )


def _resume_file(out: Path) -> Path | None:
    """The state to go on from, verified to be readable without running code; None at the beginning.

    Raises
    ------
    SynthanomError
    """
    path = out / RESUME
    if not path.exists():
        return None
    try:
        torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError, KeyError, ValueError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise SynthanomError(
            f"{path}: must be the resume file of this run, got: {reason}; delete it to train from the beginning"
        ) from error
    return path


def _run_trainer(trainer: Trainer, module: Fitting, resume: Path | None) -> None:
    handler = signal.getsignal(signal.SIGINT)
    try:
        trainer.fit(module, ckpt_path=resume, weights_only=True)
    except SystemExit as leave:
        # on Ctrl-C Lightning tears down, turns further Ctrl-C off and leaves with status 1
        if trainer.interrupted:
            stop = leave.__context__
            raise stop if isinstance(stop, KeyboardInterrupt) else KeyboardInterrupt from leave
        raise
    finally:
        if handler is not None and signal.getsignal(signal.SIGINT) is not handler:
            signal.signal(signal.SIGINT, handler)


def _finish(
    data: DataSet, out: Path, run: Run, index: RowIndex, trainer: Trainer, keeper: Keeper, track: Track
) -> Outcome:
    """Thresholds and a picture for the best model, then the mark that the run is finished."""
    picks = validation_picks(index, run)
    model = load_model(out, allow_import=True)
    found = calibrate(model, data, picks, track=track)
    training = {**model.card.training, "validation": found.figures}
    save_card(out / "best", model.card.model_copy(update={"thresholds": found.thresholds, "training": training}))
    write_panel(out / "pictures" / "validation.png", model, data, examples(picks))
    outcome: dict[str, Any] = {
        "reason": "patience" if keeper.exhausted(trainer) else "epochs",
        "epochs": int(trainer.current_epoch),
        "best_epoch": keeper.best_epoch,
        "best_loss": keeper.best_loss,
    }
    mark_finished(out, outcome)
    return Outcome(folder=out, **outcome, trained=True)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep back what Lightning says about its surroundings, and the warnings listed above."""
    loggers = [logging.getLogger(name) for name in CHATTY_LOGGERS]
    before = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        for message in EXPECTED_WARNINGS:
            warnings.filterwarnings("ignore", message=message)
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            for logger, level in zip(loggers, before, strict=True):
                logger.setLevel(level)
