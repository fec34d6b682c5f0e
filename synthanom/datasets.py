"""A plain torch Dataset that makes anomalies in a list of Samples while a network trains."""

from collections.abc import Sequence

import torch
from torch.utils.data import Dataset

from synthanom.donors import Donors
from synthanom.errors import SynthanomError
from synthanom.labels import AbstractLabeller, FlippedGaussian
from synthanom.mixture import Mixture
from synthanom.recipe import SynthesisOptions
from synthanom.sample import Sample
from synthanom.tasks.abstract import AbstractTask


class SharedEpoch:
    """An epoch's number in shared memory: workers that outlive an epoch (persistent_workers) see the next one."""

    def __init__(self) -> None:
        self._value = torch.zeros(1, dtype=torch.int64).share_memory_()  # type: ignore[no-untyped-call]

    def __deepcopy__(self, memo: object) -> "SharedEpoch":
        """Itself: copies of a transform belong to the same epoch."""
        return self

    @property
    def number(self) -> int:
        """The epoch whose pictures are made."""
        return int(self._value.item())

    def set(self, number: int) -> None:
        """Make the pictures of another epoch from now on, in every worker."""
        self._value.fill_(number)

    @property
    def draw(self) -> str:
        """What `stream` calls the draw of this epoch."""
        return f"epoch-{self.number}"


class AnomalyDataset(Dataset[tuple[torch.Tensor, torch.Tensor, str]]):
    """Synthetic pictures of a list of Samples: (image (C, *S), label (*S), recipe as JSON text).

    Item i of an epoch depends on the seed, the epoch, the sample's id and the task only: not on the order, the number
    of workers, or how they were started. Call `set_epoch` before each epoch, or every epoch shows the same pictures.

    Parameters
    ----------
    samples : sequence of Samples
        Each may bring a location prior, `Sample.from_array(within=)`.
    task : AbstractTask or Mixture
        A mixture brings labeller, donors and options of its own; its healthy pictures have an empty recipe.
    labeller : AbstractLabeller, `FlippedGaussian()` by default
    seed : int
    donors : sequence of Samples, optional
        For the blending tasks; `intra_blend` may be given `samples` themselves.
    options : SynthesisOptions, optional

    Raises
    ------
    SynthanomError
        If two samples share an id: they would share their random stream. If a mixture is given what it brings itself.
    """

    def __init__(
        self,
        samples: Sequence[Sample],
        task: AbstractTask | Mixture,
        labeller: AbstractLabeller | None = None,
        *,
        seed: int,
        donors: Donors | None = None,
        options: SynthesisOptions | None = None,
    ) -> None:
        checked_ids(samples)
        if isinstance(task, Mixture) and not (labeller is None and donors is None and options is None):
            raise SynthanomError("a mixture brings its labeller, donors and options; give them to Mixture(...)")
        self.samples = samples
        self.task = task
        self.mixture = (
            task
            if isinstance(task, Mixture)
            else Mixture(
                tasks=[task],
                labeller=labeller or FlippedGaussian(),
                donors=donors,
                options=options or SynthesisOptions(),
            )
        )
        self.seed = seed
        self._epoch = SharedEpoch()

    def __len__(self) -> int:
        return len(self.samples)

    @property
    def epoch(self) -> int:
        """The epoch whose pictures are made."""
        return self._epoch.number

    def set_epoch(self, epoch: int) -> None:
        """Make the pictures of another epoch from now on, in every worker."""
        self._epoch.set(epoch)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor, str]:
        sample = self.samples[index]
        result = self.mixture.make(sample, seed=self.seed, draw=self._epoch.draw)
        if result is None:
            return torch.tensor(sample.image), torch.zeros(sample.shape), ""
        return torch.from_numpy(result.image), torch.from_numpy(result.label), result.recipe.to_json().decode()


def checked_ids(samples: Sequence[Sample]) -> tuple[str, ...]:
    """The ids of some samples; two that share one would share their random stream.

    Raises
    ------
    SynthanomError
    """
    ids = tuple(sample.id for sample in samples)
    if len(set(ids)) != len(ids):
        twice = sorted({name for name in ids if ids.count(name) > 1})
        raise SynthanomError(f"every sample needs an id of its own, {twice[0]!r} is used more than once; pass id=")
    return ids
