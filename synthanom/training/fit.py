"""Fitting the weights of one planned run, in one process or as one of several."""

import logging
import pickle
import signal
import warnings
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.loggers import CSVLogger
from lightning.pytorch.strategies import DDPStrategy
from torch import nn

from synthanom.errors import SynthanomError
from synthanom.shards import DataSet
from synthanom.training.batches import PictureSource, StoredPictures
from synthanom.training.checkpoint import ModelCard, build_detector, versions
from synthanom.training.config import AggregationConfig, TrainingConfig
from synthanom.training.culprits import Culprits
from synthanom.training.execution import lay_out
from synthanom.training.fitting import Fitting
from synthanom.training.folder import RESUME
from synthanom.training.folds import Run
from synthanom.training.keeper import Keeper
from synthanom.training.keyed import keyed_number
from synthanom.training.processes import end_group
from synthanom.training.rows import RowIndex

# what Lightning and torch say about choices that are made on purpose here; everything else is shown
EXPECTED_WARNINGS = (
    r".*smaller than the logging interval.*",
    r"GPU available but not used.*",
    r".*Experiment logs directory.*exists and is not empty.*",
    r".*`broadcast_buffers` is deprecated.*",
    r".*`isinstance\(treespec, LeafSpec\)` is deprecated.*",
)
CHATTY_LOGGERS = ("lightning.pytorch", "lightning.fabric", "lightning.pytorch.utilities.rank_zero")


@dataclass(frozen=True, kw_only=True, eq=False)
class PlannedFit:
    """Everything that fitting needs.

    Attributes
    ----------
    out : Path
        The run's folder.
    module : Fitting
    keeper : Keeper
    device : str
    ranks : int
        Processes that fit together.
    """

    out: Path
    module: Fitting
    keeper: Keeper
    device: Literal["cpu", "cuda"]
    ranks: int = 1


def planned_fit(
    data: DataSet,
    out: Path,
    *,
    config: TrainingConfig,
    run: Run,
    index: RowIndex,
    workers: int,
    device: Literal["cpu", "cuda"],
    ranks: int = 1,
    donors: Sequence[Path] = (),
    report: Callable[[str], None] | None = None,
) -> PlannedFit:
    """Draw the first weights, by the seed, and make what trains them; the caller's random state is given back.

    Raises
    ------
    SynthanomError
        A network that cannot be built, or donors that cannot be opened.
    """
    with torch.random.fork_rng():
        torch.manual_seed(keyed_number(config.seed, "weights"))
        detector = build_detector(
            config.network,
            channels=data.channels,
            shape=data.shape,
            positions=config.positions,
            allow_import=True,
            detector=config.detector,
        )
    if config.channels_last:
        lay_out(detector.module)
    source = picture_source(data, run, config, donors)
    culprits = Culprits(run=out, source=source)
    module = Fitting(detector, source, index=index, run=run, config=config, workers=workers, culprits=culprits)
    keeper = Keeper(
        out,
        detector.module,
        _card(data, run, config),
        patience=config.patience_steps,
        select_by=config.select_by,
        report=report,
    )
    return PlannedFit(out=out, module=module, keeper=keeper, device=device, ranks=ranks)


def fit(planned: PlannedFit, *, further: tuple[Callback, ...] = (), first: bool = False) -> Trainer:
    """Train from the last kept state, or from the beginning.

    Parameters
    ----------
    planned : PlannedFit
    further : tuple of Callback
    first : bool
        Whether this is the first of the processes, which keeps the log.

    Raises
    ------
    SynthanomError
        A damaged state, a loss that is not finite, a full disk.
    """
    config = planned.module.config
    several = planned.ranks > 1
    with torch.random.fork_rng(), _quiet():
        trainer = Trainer(
            max_epochs=config.epochs,
            accelerator="gpu" if planned.device == "cuda" else "cpu",
            devices=planned.ranks,
            # gradients of all processes are averaged; the position channels are the same everywhere
            strategy=DDPStrategy(broadcast_buffers=False) if several else "auto",
            plugins=[LightningEnvironment()],  # a scheduler's job is one run, whatever it says of its tasks
            use_distributed_sampler=False,
            precision=config.precision,
            logger=CSVLogger(save_dir=planned.out / "logs", name="") if first else False,
            callbacks=[planned.keeper, *further],
            check_val_every_n_epoch=config.validate_every,
            reload_dataloaders_every_n_epochs=1,
            num_sanity_val_steps=0,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        try:
            _run_trainer(trainer, planned.module, resume_file(planned.out, planned.module))
        finally:
            planned.module.reader.close()
            end_group()
    return trainer


def picture_source(data: DataSet, run: Run, config: TrainingConfig, donors: Sequence[Path]) -> PictureSource:
    """Where the pictures of a run come from: its stored anomalies, or live synthesis.

    Raises
    ------
    SynthanomError
        Donors that cannot be opened.
    """
    if not config.live:
        return StoredPictures(data=data)
    from synthanom.training.live import live_pictures

    return live_pictures(data, run, seed=config.seed, donors=donors)


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
        aggregation=config.aggregation or AggregationConfig(),  # until it is chosen
        thresholds={},
        training=dict(training),
        versions=versions(),
        weights_sha256="0" * 64,
    )


def resume_file(out: Path, module: nn.Module) -> Path | None:
    """The state to go on from, verified to be whole and of this network without running code; None at the beginning.

    Raises
    ------
    SynthanomError
        A damaged file, or the state of something else.
    """
    path = out / RESUME
    if not path.exists():
        return None
    again = "delete it to train from the beginning"
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()  # torch writes checksums and does not look at them
        if damaged is not None:
            raise ValueError(f"a wrong checksum of its part {damaged}")
        state = torch.load(path, map_location="cpu", weights_only=True)
        held = {name: tuple(value.shape) for name, value in state["state_dict"].items()}
        known = state["callbacks"]["Keeper"].keys() >= {"best_loss", "best_epoch", "best_step"}
    except (
        pickle.UnpicklingError, zipfile.BadZipFile, RuntimeError, EOFError, OSError, KeyError, ValueError,
        TypeError, AttributeError,
    ) as error:  # fmt: skip
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise SynthanomError(f"{path}: must be the resume file of this run, got: {reason}; {again}") from error
    wanted = {name: tuple(value.shape) for name, value in module.state_dict().items()}
    if held != wanted or not known:
        odd = sorted(held.items() ^ wanted.items())[0][0] if held != wanted else "the best epoch's figures"
        raise SynthanomError(
            f"{path}: must be the resume file of this run, got one of another network or version (they differ in "
            f"{odd}); {again}"
        )
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
