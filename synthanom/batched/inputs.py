"""What a batch is made from."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from synthanom.arrays import MaskOrBox, as_numpy
from synthanom.donors import Donors
from synthanom.errors import SynthanomError
from synthanom.recipe import SynthesisOptions
from synthanom.sample import Sample
from synthanom.tasks.abstract import AbstractTask


@dataclass(frozen=True, kw_only=True, eq=False)
class BatchInputs:
    """The tensors of a batch, and what belongs to each of its samples.

    Attributes
    ----------
    images : tensor (B, C, *S)
    foregrounds : bool tensor (B, *S), or None for the whole images
    ids, subjects : B names each
    spacings : B spacings or Nones
    tasks : B tasks
    donors : B sequences of Samples, DonorSets, mappings from task names to either, or Nones
    options : SynthesisOptions
    generators : B numpy Generators
    withins : B location priors, each a mask, a box or None; none by default
    """

    images: Tensor
    foregrounds: Tensor | None
    ids: Sequence[str]
    subjects: Sequence[str]
    spacings: Sequence[Sequence[float] | None]
    tasks: Sequence[AbstractTask]
    donors: Sequence[Donors | None]
    options: SynthesisOptions
    generators: Sequence[np.random.Generator]
    withins: Sequence[MaskOrBox | None] = ()

    def __post_init__(self) -> None:
        count = len(self.images)
        for name in ("tasks", "generators", "ids", "subjects", "spacings", "donors"):
            if len(getattr(self, name)) != count:
                raise SynthanomError(f"a batch of {count} needs {count} {name}, got {len(getattr(self, name))}")
        if len(self.withins) not in (0, count):
            raise SynthanomError(f"a batch of {count} needs within for {count}, got {len(self.withins)}")

    @property
    def placed(self) -> bool:
        """Whether any sample has a location prior, for which there is no batched form."""
        return self.options.inside_only or any(within is not None for within in self.withins)

    def sample(self, index: int) -> Sample:
        """Sample `index` on the host.

        Raises
        ------
        SynthanomError
            As `Sample.from_array`.
        """
        image = as_numpy(self.images[index].to(torch.float32))  # numpy knows no bfloat16
        mask = None if self.foregrounds is None else as_numpy(self.foregrounds[index])
        return Sample.from_array(
            image,
            mask,
            self.spacings[index],
            id=self.ids[index],
            subject=self.subjects[index],
            channels=image.shape[0],
            within=self.withins[index] if self.withins else None,
        )
