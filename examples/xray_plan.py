"""What examples/chest_xray.py trains, and where."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml
from xray_mixed import SHARES

Words = tuple[str, ...]
RUNS = {1: 5, 2: 10, 3: 10, 4: 5}  # number of training tasks -> runs with as many
# name -> settings that differ from those of the run they are compared with
ABLATIONS = {"left-right flip, p = 0.5": {"flip": 0.5}, "thick slices, p = 0.5": {"anisotropy": 0.5}}
JUDGED = (4, 0)  # number of training tasks and run for which augmentations and mixed training sets are compared


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Folders and settings of everything.

    Attributes
    ----------
    out, config : Path
    side : int
        Pixels of a side.
    epochs, seeds, jobs : int
    """

    out: Path
    config: Path
    side: int
    epochs: int
    seeds: int
    jobs: int

    @property
    def data(self) -> Path:
        """The data set of healthy training images."""
        return self.out / "data"

    @property
    def test(self) -> Path:
        """The list of test images."""
        return self.out / "test"

    @property
    def runs(self) -> Path:
        """The runs of the protocol."""
        return self.out / "runs"

    @property
    def times(self) -> Path:
        """Processor seconds of each training command."""
        return self.out / "times.csv"

    def mixed(self, share: int) -> Path:
        """What belongs to the training set with so many per cent of diseased images."""
        return self.out / "mixed" / str(share)

    def ensemble(self, *, tasks: int, seed: int) -> list[Path]:
        """The runs with so many training tasks."""
        return [self.runs / f"seed-{seed}" / f"tasks-{tasks}-run-{run}" for run in range(RUNS[tasks])]

    def autoencoder(self, seed: int) -> Path:
        """The autoencoder's run: the healthy images of the four folds that run 0 of one task trains on."""
        return self.out / "autoencoder" / f"seed-{seed}"

    def ablation(self, name: str, seed: int) -> Path:
        """A run with other settings."""
        return self.out / "ablations" / name.split()[0] / f"seed-{seed}"

    def of_mixed(self, share: int, detector: str, seed: int) -> Path:
        """A run on a mixed training set."""
        return self.mixed(share) / detector / f"seed-{seed}"

    def trainings(self) -> Iterator[Words]:
        """Every training command, what matters most first."""
        for seed in range(self.seeds):
            for tasks in (4, 1):
                yield self._training(self.data, self.runs / f"seed-{seed}", seed, "--all", "--train-tasks", str(tasks))
            yield self._training(self.data, self.autoencoder(seed), seed, *AUTOENCODER)
        for seed in range(self.seeds):
            yield from self._on_mixed(seed)
            for name, setting in ABLATIONS.items():
                config = self._changed(name, setting)
                yield self._training(self.data, self.ablation(name, seed), seed, *_run(*JUDGED), config=config)
        for seed in range(self.seeds):
            for tasks in (3, 2):
                yield self._training(self.data, self.runs / f"seed-{seed}", seed, "--all", "--train-tasks", str(tasks))

    def _on_mixed(self, seed: int) -> Iterator[Words]:
        for share in SHARES:
            data = self.mixed(share) / "data"
            yield self._training(data, self.of_mixed(share, "multitask", seed), seed, *_run(*JUDGED))
            yield self._training(data, self.of_mixed(share, "autoencoder", seed), seed, *AUTOENCODER)

    def _training(self, data: Path, out: Path, seed: int, *further: str, config: Path | None = None) -> Words:
        words = ("--config", str(config or self.config), "--epochs", str(self.epochs), "--seed", str(seed))
        return ("synthanom-train", str(data), "--out", str(out), *words, *further)

    def _changed(self, name: str, setting: Mapping[str, float]) -> Path:
        """The settings with one of another value."""
        path = self.out / "ablations" / f"{name.split()[0]}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(
            yaml.safe_dump({**yaml.safe_load(self.config.read_text(encoding="utf-8")), **setting}), encoding="utf-8"
        )
        return path


def _run(tasks: int, run: int) -> tuple[str, ...]:
    return ("--train-tasks", str(tasks), "--run", str(run))


AUTOENCODER = ("--detector", "autoencoder", *_run(1, 0))
