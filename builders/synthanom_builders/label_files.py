"""Labels that lie in files: whether they mark anything."""

from dataclasses import dataclass
from pathlib import Path

from synthanom.errors import SynthanomError
from synthanom.volumes import read_mask
from synthanom_builders.cases import Image, relative


@dataclass(frozen=True, kw_only=True)
class Marking:
    """Whether a label marks anything; only `problem` counts where it cannot be read."""

    anything: bool = False
    problem: str = ""


def marking(raw: Path, label: Image) -> Marking:
    """Read a label: what is above 0 in it is marked.

    This is done while listing, in one process: a few hundred labels take about as long as reading them once.
    """
    try:
        mask, _ = read_mask(label.source(raw))
    except (SynthanomError, OSError) as error:
        return Marking(problem=f"its label cannot be read ({relative(error, raw)}); repair it or leave the case out")
    return Marking(anything=bool(mask.any()))
