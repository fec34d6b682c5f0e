"""What a training step takes with pictures from disk beside one fixed batch: python benchmarks/training.py [--write]

For every preset a data set of made-up scans is built in a temporary folder and trained on by `synthanom.training`.
Epochs with one fixed batch and with read pictures, by 0, 1 and 2 worker processes, take turns in one run. Then steps on
the fixed batch with each option that may be faster, in turn. A CUDA device is used where there is one.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path
from typing import Any

import cohort
import machine
import pages
import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from synthanom.shards import DataSet
from synthanom.training.batches import Reader, StoredPictures, TrainingBatch, portions, read_batch
from synthanom.training.config import TrainingConfig, load_config
from synthanom.training.device import chosen_device
from synthanom.training.fit import fit, planned_fit
from synthanom.training.fitting import Fitting
from synthanom.training.folder import PARTS
from synthanom.training.plan import plan
from synthanom.training.rows import training_picks

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "speed.md"
BUILD = [sys.executable, "-c", "from synthanom_builders.cli import main; main()"]
FIXED = "fixed batch"
WORKERS = {"workers 0": 0, "workers 1": 1, "workers 2": 2}
OPTIONS: Mapping[str, Mapping[str, Any]] = {
    "as it is": {},
    "bf16": {"precision": "bf16-mixed"},
    "channels_last": {"channels_last": True},
    "compile": {"compile": True},
    "all three": {"precision": "bf16-mixed", "channels_last": True, "compile": True},
}
WARM = 2  # first steps that do not count: allocation, compiling
TARGET = 1.05
HEAD = """Written by `make bench-training` on {date}, {device}, torch {torch}; load {load}.
*Step* is the median from the end of one step to the end of the next, first steps of epochs aside; *epoch* divides whole
epochs, start of the loader included, by their steps. Both are beside those on one fixed batch, whose epochs take turns
with the others in the same run; target at most {target:g}. *Reading* is the processor's time for reading a batch, in
shares of what its step takes of the processor. No worker processes is the default: a thread reads one batch ahead.
"""
SPEEDS = """Steps on the fixed batch with options of the configuration, in shares of the step without them (below 1 is
faster), medians over one or two turns; *compiling* is what the first compiled step took longer.
"""


@dataclass(frozen=True, kw_only=True)
class Preset:
    """A configuration on data of a shape.

    Attributes
    ----------
    config : str
        File in configs/.
    shape : tuple of ints
    subjects : int
        Four fifths of them are trained on, once in each epoch.
    rounds : int
        Epochs of each kind.
    cpu_batch : int or None
        On a CPU, where the preset's own batch would take too long or too much memory.
    option_steps : int
        Of each option, in every turn.
    turns : int
        Of all options.
    """

    config: str
    shape: tuple[int, ...]
    subjects: int
    rounds: int
    cpu_batch: int | None = None
    option_steps: int = 10
    turns: int = 2

    @property
    def name(self) -> str:
        """For the table."""
        return f"{self.config} {' x '.join(map(str, self.shape))}"


PRESETS = (
    Preset(config="demo", shape=(40, 48, 40), subjects=60, rounds=4),
    Preset(config="cpu_small", shape=(128, 128), subjects=200, rounds=4),
    Preset(config="cpu_small", shape=(40, 48, 40), subjects=40, rounds=1, option_steps=3),
    Preset(config="chest_xray", shape=(256, 256), subjects=40, rounds=1, cpu_batch=8, option_steps=2, turns=1),
    Preset(config="brain", shape=(80, 112, 80), subjects=10, rounds=1, cpu_batch=1, option_steps=2, turns=1),
)
QUICK = (Preset(config="demo", shape=(16, 18, 16), subjects=10, rounds=1, option_steps=2),)


@dataclass(frozen=True, kw_only=True)
class Epoch:
    """Seconds of an epoch: from asking for its batches to the end of each step; of the processor, children aside."""

    ends: tuple[float, ...]
    processor: float

    @property
    def steps(self) -> list[float]:
        """Of every step but the first, which waits for the loader to start."""
        return [b - a for a, b in zip(self.ends, self.ends[1:], strict=False)]

    @property
    def per_step(self) -> float:
        """Of the whole epoch, start of the loader included."""
        return self.ends[-1] / len(self.ends)


@dataclass(frozen=True, eq=False)
class Repeated:
    """One batch, so many times; Lightning takes a list for several loaders."""

    batch: TrainingBatch
    count: int

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[TrainingBatch]:
        return repeat(self.batch, self.count)


class Watch(Callback):
    """Gives a run its batches, epoch by epoch of another kind, and notes when its steps end."""

    def __init__(self, module: Fitting, kinds: Sequence[str], repeated: int | None) -> None:
        self.found: dict[str, list[Epoch]] = {kind: [] for kind in kinds}
        self._kinds, self._repeated = kinds, repeated
        self._module, self._own = module, module.train_dataloader
        self._fixed: TrainingBatch | None = None
        self._readers = {workers: Reader(module.source, workers) for workers in WORKERS.values()}
        self._began, self._spent, self._ends = 0.0, 0.0, list[float]()

    def loader(self) -> Iterable[TrainingBatch]:
        """The batches of the current epoch."""
        kind = self._kind
        if self._fixed is None:
            self._fixed = next(iter(self._own()))
        self._began, self._spent, self._ends = time.perf_counter(), time.process_time(), []
        own = self._own()
        if kind == FIXED:
            return Repeated(self._fixed, self._repeated or len(own))
        return self._readers[WORKERS[kind]].batches(own.parts)

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        """Note the end of a step."""
        if pl_module.device.type == "cuda":
            torch.cuda.synchronize()
        self._ends.append(time.perf_counter() - self._began)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Keep the epoch."""
        self.found[self._kind].append(Epoch(ends=tuple(self._ends), processor=time.process_time() - self._spent))

    def close(self) -> None:
        """End the processes that read."""
        for reader in self._readers.values():
            reader.close()

    @property
    def _kind(self) -> str:
        return self._kinds[int(self._module.current_epoch) % len(self._kinds)]


def main() -> None:
    """Measure, print, and with --write keep the tables in docs/speed.md."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", action="append", help="part of the names of those to measure; all by default")
    parser.add_argument("--quick", action="store_true", help="one tiny preset: is everything in order?")
    parser.add_argument("--option", action="append", choices=list(OPTIONS), help="repeatable; all by default")
    parser.add_argument("--write", action="store_true", help=f"write {PAGE.parent.name}/{PAGE.name}")
    parser.add_argument("--json", action="store_true", help="print the rows as JSON")
    arguments = parser.parse_args()
    known = QUICK if arguments.quick else PRESETS
    chosen = [preset for preset in known if any(part in preset.name for part in arguments.preset or [""])]
    options = {name: OPTIONS[name] for name in OPTIONS if name in (arguments.option or OPTIONS) or not OPTIONS[name]}
    rows = [measure(preset, options) for preset in chosen]
    text = page(rows)
    sys.stdout.write(json.dumps(rows) + "\n" if arguments.json else text)
    if arguments.write:
        pages.put(PAGE, "training", text)


def measure(preset: Preset, options: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Seconds of a preset's steps."""
    with tempfile.TemporaryDirectory() as folder, DataSet.open(build(preset, Path(folder))) as data:
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = f"{folder}/compiled"  # what an earlier run compiled must not be found
        given = {"batch_size": preset.cpu_batch} if chosen_device("auto") == "cpu" else {}
        config = load_config(ROOT / "configs" / f"{preset.config}.yaml", data.shape, given)
        row = {
            "preset": preset.name,
            "batch": config.batch_size,
            "whole": preset.cpu_batch is None or not given,
            "loading": loading(data, config, preset, Path(folder)),
            "options": by_option(data, config, preset, Path(folder), options),
            "load": os.getloadavg()[0],
        }
    return {**row, "reading": row["loading"].pop("reading")}


def build(preset: Preset, folder: Path) -> Path:
    """A data set of made-up scans."""
    if len(preset.shape) == 2:
        raw = cohort.write_pictures(folder / "raw", preset.subjects, preset.shape[0])
    else:
        raw = cohort.write_cohort(folder / "raw", preset.subjects, preset.shape)
    command = [*BUILD, "folder", str(raw), "--out", str(folder / "data"), "--variants", "2"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(done.stderr)
    return folder / "data"


def loading(data: DataSet, config: TrainingConfig, preset: Preset, folder: Path) -> dict[str, Any]:
    """Seconds a step and per step of the epoch, for each kind of batches."""
    found = timed(data, config, folder / "loading", (FIXED, *WORKERS), preset.rounds, None)
    spent = {
        kind: {
            "step": statistics.median(step for epoch in epochs for step in epoch.steps),
            "epoch": statistics.median(epoch.per_step for epoch in epochs),
            "processor": statistics.median(epoch.processor / len(epoch.ends) for epoch in epochs),
            "steps": len([step for epoch in epochs for step in epoch.steps]),
        }
        for kind, epochs in found.items()
    }
    return {**spent, "reading": reading(data, config)}


def reading(data: DataSet, config: TrainingConfig) -> float:
    """Seconds of the processor for reading a batch, the median of an epoch, from a warm page cache."""
    run, index = plan(data, config, train_tasks=1, run=0)
    picks = training_picks(index, run, epoch=0, seed=config.seed, flip=config.flip)
    spent = []
    for part in portions(picks, config.batch_size):
        start = time.process_time()
        read_batch(StoredPictures(data=data), part)
        spent.append(time.process_time() - start)
    return statistics.median(spent)


def by_option(
    data: DataSet, config: TrainingConfig, preset: Preset, folder: Path, options: Mapping[str, Mapping[str, Any]]
) -> dict[str, dict[str, float]]:
    """Seconds of a step on a fixed batch with each option, and what its first step took longer."""
    steps: dict[str, list[float]] = {name: [] for name in options}
    first: dict[str, float] = {}
    for turn in range(preset.turns):
        for name, changes in options.items():
            changed = TrainingConfig.model_validate({**config.model_dump(), **changes})
            (epoch,) = timed(data, changed, folder / f"{turn} {name}", (FIXED,), 1, WARM + preset.option_steps)[FIXED]
            steps[name] += epoch.steps[WARM - 1 :]
            first.setdefault(name, epoch.ends[0])
    medians = {name: statistics.median(each) for name, each in steps.items()}
    return {name: {"step": medians[name], "compiling": first[name] - medians[name]} for name in options}


def timed(
    data: DataSet, config: TrainingConfig, out: Path, kinds: Sequence[str], rounds: int, repeated: int | None
) -> dict[str, list[Epoch]]:
    """Train for some rounds of epochs of each kind; where there are several rounds, after one that does not count."""
    rounds += rounds > 1
    epochs = rounds * len(kinds)
    # no validation, no end before the last round
    settings = {"epochs": epochs, "validate_every": epochs + 1, "patience_steps": 10**6}
    changed = config.model_copy(update=settings)
    for part in PARTS:
        (out / part).mkdir(parents=True)
    run, index = plan(data, changed, train_tasks=1, run=0)
    planned = planned_fit(data, out, config=changed, run=run, index=index, workers=0, device=chosen_device("auto"))
    watch = Watch(planned.module, kinds, repeated)
    planned.module.train_dataloader = watch.loader  # type: ignore[method-assign]
    try:
        fit(planned, further=(watch,))
    finally:
        watch.close()
    return {kind: found[1:] or found for kind, found in watch.found.items()}


def page(rows: Sequence[Mapping[str, Any]]) -> str:
    """The tables as Markdown."""
    cuda = chosen_device("auto") == "cuda"
    loads = sorted(row["load"] for row in rows)
    words = {
        "date": time.strftime("%Y-%m-%d"),
        "device": torch.cuda.get_device_name() if cuda else machine.cpu_model(),
        "torch": torch.__version__,
        "load": f"{loads[0]:.1f} to {loads[-1]:.1f}",
        "target": TARGET,
    }
    head = ["preset", "batch", "steps", "fixed batch, s"]
    head += [name for kind in WORKERS for name in (f"{kind}: step", "epoch")] + ["reading"]
    tables = HEAD.format(**words) + "\n" + pages.table(head, [_loading_line(row) for row in rows])
    options = list(rows[0]["options"])[1:]
    if not options:
        return tables
    head = ["preset", "batch", "s", *options, "compiling, s"]
    return tables + "\n" + SPEEDS + "\n" + pages.table(head, [_option_line(row) for row in rows])


def _loading_line(row: Mapping[str, Any]) -> list[str]:
    found, fixed = row["loading"], row["loading"][FIXED]
    line = [row["preset"], _batch(row), str(fixed["steps"]), f"{fixed['step']:.3g}"]
    line += [f"{found[kind][what] / fixed[what]:.2f}" for kind in WORKERS for what in ("step", "epoch")]
    return [*line, f"{100 * row['reading'] / fixed['processor']:.1f} %"]


def _option_line(row: Mapping[str, Any]) -> list[str]:
    found = dict(row["options"])
    plain = found.pop(next(iter(OPTIONS)))["step"]
    compiling = f"{found['compile']['compiling']:.0f}" if "compile" in found else "-"
    shares = [f"{each['step'] / plain:.2f}" for each in found.values()]
    return [row["preset"], _batch(row), f"{plain:.3g}", *shares, compiling]


def _batch(row: Mapping[str, Any]) -> str:
    return f"{row['batch']}" if row["whole"] else f"{row['batch']} (fewer)"


if __name__ == "__main__":
    main()
