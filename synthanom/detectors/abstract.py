"""What a detector is: a loss on a batch, and a score map for images."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import ClassVar, Protocol

from torch import Tensor, nn

from synthanom.detectors.needs import Needs
from synthanom.networks.positions import Place


class LabelledBatch(Protocol):
    """What a loss reads: `synthanom.synthesis.Batch` and `synthanom.training.batches.TrainingBatch` both are one."""

    @property
    def images(self) -> Tensor:
        """(B, C, *S), float32."""

    @property
    def labels(self) -> Tensor:
        """(B, *S), float32 in [0, 1]."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Losses:
    """What to minimise, and numbers that are only watched, by name; scalars, means over the batch.

    Attributes
    ----------
    total : Tensor
        Scalar.
    watched : dict
    scores : Tensor of shape (B, *S)
        The score maps that the loss went through, without gradients: validation needs no second pass for them.
    """

    total: Tensor
    scores: Tensor
    watched: dict[str, Tensor] = field(default_factory=dict)


class AbstractDetector(ABC):
    """A method around a network. It holds no state besides the parameters of `module`.

    Pictures of a batch must not influence each other's maps or losses: batches are shared among processes.
    """

    needs: ClassVar[Needs]

    @abstractmethod
    def __init__(self, *, network: nn.Module) -> None: ...

    @staticmethod
    @abstractmethod
    def outputs(channels: int) -> int:
        """Channels that its network gives for images of so many channels."""

    @property
    @abstractmethod
    def module(self) -> nn.Module:
        """Everything that has parameters: what is optimised, moved between devices and saved."""

    @abstractmethod
    def loss(self, batch: LabelledBatch) -> Losses:
        """How badly the network does on a batch."""

    @abstractmethod
    def score_map(self, images: Tensor, place: Place | None = None) -> Tensor:
        """Anomaly score of every voxel: (B, C, *S) -> (B, *S), about 0 to 1.

        Values may leave [0, 1] a little; they are clipped after the mean over an ensemble, not before. With a place,
        the images are windows of larger ones: a method that knows where in the image it looks must heed it.
        """
