"""Poisson blending: the donor is another subject of the same data set."""

from dataclasses import dataclass
from typing import ClassVar

from synthanom.tasks.abstract import DonorKind
from synthanom.tasks.donor_patch import AbstractBlend


@dataclass(frozen=True, kw_only=True)
class IntraBlend(AbstractBlend):
    """Blends in a patch of another subject of the same data set. Settings: `AbstractBlend`.

    References
    ----------
    Baugh et al., "Many tasks make light work", MICCAI 2023, doi:10.1007/978-3-031-43907-0_16.
    Perez, Gangnet, Blake, "Poisson image editing", ACM Trans. Graph. 22(3), 2003, doi:10.1145/882262.882269.
    """

    name: ClassVar[str] = "intra_blend"
    donor: ClassVar[DonorKind] = "other_subject"
