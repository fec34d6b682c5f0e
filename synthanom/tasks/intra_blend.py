"""Poisson blending: the donor is another subject of the same data set."""

from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from synthanom.arrays import ImageArray, MaskArray
from synthanom.errors import SynthanomError
from synthanom.regions import Region
from synthanom.sample import Sample
from synthanom.tasks.abstract import AbstractParams, AbstractTask, DonorKind
from synthanom.tasks.donor_patch import BlendParams, BlendSettings, PatchSettings, blend, draw_blend, joined


@dataclass(frozen=True, kw_only=True)
class IntraBlend(AbstractTask):
    """Blends in a patch of another subject of the same data set.

    Attributes
    ----------
    mixed : bool
        Keep, per axis and channel, the target's gradient where it is at least as large as the donor's.
    join_threshold : float
        Voxels of the box changed by more (mean over channels, image intensity units) join the region.
    patch : PatchSettings
        Rotation and scale of the patch.

    References
    ----------
    Baugh et al., "Many tasks make light work", MICCAI 2023, doi:10.1007/978-3-031-43907-0_16.
    Perez, Gangnet, Blake, "Poisson image editing", ACM Trans. Graph. 22(3), 2003, doi:10.1145/882262.882269.
    """

    name: ClassVar[str] = "intra_blend"
    kind: ClassVar[str] = "blend"
    donor: ClassVar[DonorKind] = "other_subject"
    params: ClassVar[type[AbstractParams]] = BlendParams

    mixed: bool = True
    join_threshold: float = 0.001
    patch: PatchSettings = field(default_factory=PatchSettings)

    def sample_params(
        self, rng: np.random.Generator, sample: Sample, region: Region, donor: Sample | None = None
    ) -> BlendParams:
        """Draw the patch of `donor` that goes into the region's box."""
        if donor is None:
            raise SynthanomError(
                "intra_blend needs a donor, got None; pass donors=, a sequence of Samples that holds another subject"
            )
        settings = BlendSettings(mixed=self.mixed, join_threshold=self.join_threshold, patch=self.patch)
        return draw_blend(rng, sample, region, donor, settings)

    @staticmethod
    def change(image: ImageArray, region: Region, params: Any, donor: Sample | None = None) -> ImageArray:
        """The region's box with the patch blended in, clipped to the sample's range: float32 (C, *box)."""
        return blend(image, region, params, donor)

    @staticmethod
    def touched(before: ImageArray, after: ImageArray, region: Region, params: Any) -> MaskArray:
        """The region and what blending changed noticeably around it: bool (*box)."""
        return joined(before, after, region, params)
