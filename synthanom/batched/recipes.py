"""The recipes of a batch that was made on a device: written down only when somebody reads them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import overload

from torch import Tensor

from synthanom.batched.inputs import BatchInputs
from synthanom.batched.stream_states import GeneratorStates, PhiloxStates
from synthanom.batched.tables import Integers
from synthanom.donors import donors_for
from synthanom.errors import SynthanomError
from synthanom.recipe import Recipe, SampleRef
from synthanom.synthesis import draw_anomalies


@dataclass(frozen=True, kw_only=True, eq=False)
class LazyRecipes(Sequence[Recipe]):
    """Recipes that are drawn again, on the host and from the same streams, when they are asked for.

    Training never asks, and writing them all down would take longer than making the pictures. The batch's images and
    foregrounds are kept, and must not have been written to since.

    Attributes
    ----------
    inputs : BatchInputs
    streams : the batch's random streams
    attempts : int64 (B,), how often each sample was drawn
    known : the recipes that were written down
    """

    inputs: BatchInputs
    streams: PhiloxStates | GeneratorStates
    attempts: Integers
    known: dict[int, Recipe]
    _versions: tuple[int, int] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_versions", self._current())

    def __len__(self) -> int:
        return self.attempts.size

    @overload
    def __getitem__(self, index: int) -> Recipe: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Recipe, ...]: ...
    def __getitem__(self, index: int | slice) -> Recipe | tuple[Recipe, ...]:
        if isinstance(index, slice):
            return tuple(self[i] for i in range(*index.indices(len(self))))
        if not -len(self) <= index < len(self):
            raise IndexError(f"recipe {index} of {len(self)}")
        index %= len(self)
        if index not in self.known:
            self.known[index] = self._write(index)
        return self.known[index]

    def _current(self) -> tuple[int, int]:
        """Torch's counts of how often the images and the foregrounds were written to."""
        return _version(self.inputs.images), _version(self.inputs.foregrounds)

    def _write(self, index: int) -> Recipe:
        if self._current() != self._versions:
            raise SynthanomError(
                "a batch's recipes are written down when they are first read, from its images and foregrounds, which "
                "must not be written to before that, and were; read list(batch.recipes) first, or pass copies"
            )
        inputs, task = self.inputs, self.inputs.tasks[index]
        sample, rng, donors = inputs.sample(index), self.streams.generator(index), inputs.donors[index]
        attempts = int(self.attempts[index])
        for _ in range(attempts):
            drawn = draw_anomalies(rng, sample, task, donors_for(task, donors), inputs.options, None)
        return Recipe(
            sample=SampleRef.of(sample),
            attempts=attempts,
            options=inputs.options,
            anomalies=tuple(anomaly for anomaly, _ in drawn),
        )


def _version(tensor: Tensor | None) -> int:
    """How often a tensor was written to, by torch's count; 0 for tensors made in inference mode, which have none."""
    return 0 if tensor is None or tensor.is_inference() else int(tensor._version)
