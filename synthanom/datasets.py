"""A plain torch Dataset that makes anomalies in a list of Samples while a network trains."""

from collections.abc import Sequence

import torch
from torch.utils.data import Dataset

from synthanom.donors import Donors
from synthanom.errors import SynthanomError
from synthanom.labels import AbstractLabeller, FlippedGaussian
from synthanom.recipe import SynthesisOptions
from synthanom.sample import Sample
from synthanom.streams import stream
from synthanom.synthesis import synthesise
from synthanom.tasks.abstract import AbstractTask


class AnomalyDataset(Dataset[tuple[torch.Tensor, torch.Tensor, str]]):
    """Synthetic pictures of a list of Samples: (image (C, *S), label (*S), recipe as JSON text).

    Item i of an epoch depends on the seed, the epoch, the sample's id and the task only: not on the order, the number
    of workers, or how they were started. Call `set_epoch` before each epoch, or every epoch shows the same pictures.

    Parameters
    ----------
    samples : sequence of Samples
    task : AbstractTask
    labeller : AbstractLabeller, `FlippedGaussian()` by default
    seed : int
    donors : sequence of Samples, optional
        For the blending tasks; `intra_blend` may be given `samples` themselves.
    options : SynthesisOptions, optional

    Raises
    ------
    SynthanomError
        If two samples share an id: they would share their random stream.
    """

    def __init__(
        self,
        samples: Sequence[Sample],
        task: AbstractTask,
        labeller: AbstractLabeller | None = None,
        *,
        seed: int,
        donors: Donors | None = None,
        options: SynthesisOptions | None = None,
    ) -> None:
        ids = [sample.id for sample in samples]
        if len(set(ids)) != len(ids):
            twice = sorted({name for name in ids if ids.count(name) > 1})
            raise SynthanomError(f"every sample needs an id of its own, {twice[0]!r} is used more than once; pass id=")
        self.samples = samples
        self.task = task
        self.labeller = labeller or FlippedGaussian()
        self.seed = seed
        self.donors = donors
        self.options = options or SynthesisOptions()
        # in shared memory, so that workers that outlive an epoch (persistent_workers) see the next one
        self._epoch = torch.zeros(1, dtype=torch.int64).share_memory_()  # type: ignore[no-untyped-call]

    def __len__(self) -> int:
        return len(self.samples)

    @property
    def epoch(self) -> int:
        """The epoch whose pictures are made."""
        return int(self._epoch.item())

    def set_epoch(self, epoch: int) -> None:
        """Make the pictures of another epoch from now on, in every worker."""
        self._epoch.fill_(epoch)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor, str]:
        sample = self.samples[index]
        result = synthesise(
            sample,
            self.task,
            self.labeller,
            rng=stream(self.seed, sample.id, self.task.name, f"epoch-{self.epoch}"),
            donors=self.donors,
            max_anomalies=self.options.max_anomalies,
            repeat=self.options.repeat,
            foreground_only=self.options.foreground_only,
        )
        return torch.from_numpy(result.image), torch.from_numpy(result.label), result.recipe.to_json().decode()
