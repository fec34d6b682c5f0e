"""The anomalies, one per file. `TASKS` maps stored names to classes: append only, names live in recipes and shards."""

from synthanom.tasks.abstract import AbstractTask
from synthanom.tasks.cutout import CutOut
from synthanom.tasks.cutpaste import CutPaste
from synthanom.tasks.fpi import Fpi
from synthanom.tasks.inter_blend import InterBlend
from synthanom.tasks.intra_blend import IntraBlend
from synthanom.tasks.local_shift import LocalShift
from synthanom.tasks.mirror import Mirror
from synthanom.tasks.noise import Noise
from synthanom.tasks.nsa import Nsa
from synthanom.tasks.perlin_texture import PerlinTexture
from synthanom.tasks.pii import Pii
from synthanom.tasks.sink import Sink
from synthanom.tasks.smooth_intensity import SmoothIntensity
from synthanom.tasks.source import Source
from synthanom.tasks.uniform import Uniform

TASKS: dict[str, type[AbstractTask]] = {
    "intra_blend": IntraBlend,
    "inter_blend": InterBlend,
    "sink": Sink,
    "source": Source,
    "smooth_intensity": SmoothIntensity,
    "fpi": Fpi,
    "pii": Pii,
    "cutpaste": CutPaste,
    "cutout": CutOut,
    "nsa": Nsa,
    "perlin_texture": PerlinTexture,
    "uniform": Uniform,
    "noise": Noise,
    "local_shift": LocalShift,
    "mirror": Mirror,
}
PAPER_TASKS = ("intra_blend", "inter_blend", "sink", "source", "smooth_intensity")  # what is built where none is named

__all__ = [
    "PAPER_TASKS",
    "TASKS",
    "AbstractTask",
    "CutOut",
    "CutPaste",
    "Fpi",
    "InterBlend",
    "IntraBlend",
    "LocalShift",
    "Mirror",
    "Noise",
    "Nsa",
    "PerlinTexture",
    "Pii",
    "Sink",
    "SmoothIntensity",
    "Source",
    "Uniform",
]
