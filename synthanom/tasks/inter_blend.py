"""Poisson blending: the donor comes from an external data set."""

from dataclasses import dataclass
from typing import ClassVar

from synthanom.tasks.abstract import DonorKind
from synthanom.tasks.donor_patch import AbstractBlend


@dataclass(frozen=True, kw_only=True)
class InterBlend(AbstractBlend):
    """Blends in a patch of an external data set, or of procedural textures. Settings: `AbstractBlend`.

    References
    ----------
    Baugh et al., "Many tasks make light work", MICCAI 2023, doi:10.1007/978-3-031-43907-0_16.
    Perez, Gangnet, Blake, "Poisson image editing", ACM Trans. Graph. 22(3), 2003, doi:10.1145/882262.882269.
    """

    name: ClassVar[str] = "inter_blend"
    donor: ClassVar[DonorKind] = "external"
