"""MOOD: healthy brains (MRI, 256 a side) and abdomens (CT, 512 a side) of the out-of-distribution challenge.

Values lie in [0, 1]. Volumes are shrunk to a quarter of their sides; what does not hang together with a dark corner is
the foreground, which is z-scored: so abdomens serve as donors for brains.

References
----------
Zimmerer et al., "Medical Out-of-Distribution Analysis Challenge", synapse.org/mood.
Baugh et al., "Many tasks make light work", MICCAI 2023, doi:10.1007/978-3-031-43907-0_16 (as donors).
"""

from functools import partial
from pathlib import Path

from synthanom.preprocess import Canonical, FitShape, ForegroundFromCorners, Pipeline, Rescale, ZScore
from synthanom_builders.folder import Listing, cases_under
from synthanom_builders.named import NamedDataSet, below
from synthanom_builders.settings import BuildSettings

FACTOR = 0.25
DARK = 0.03  # of [0, 1]
REMEDY = "unpack the training archives and name the folder that holds it"
PLACES = {
    "mood-brain": ("brain_train", "brain/brain_train"),
    "mood-abdomen": ("abdom_train", "abdom/abdom_train"),
}


def list_cases(name: str, raw: Path, out: Path, settings: BuildSettings) -> Listing:
    """List the volumes of one part; each shows another person.

    Raises
    ------
    SynthanomError
        If the folder is missing or holds no image.
    """
    del settings
    cases = cases_under(raw, below(raw, PLACES[name], REMEDY), out)
    return Listing(cases=tuple(cases), contrasts=(), notes=(f"subjects: {len(cases)}, one for each volume",))


def pipeline(settings: BuildSettings, shape: tuple[int, ...]) -> Pipeline:
    """A quarter of the sides, the foreground from the corners, z-scored."""
    del settings
    return Pipeline(
        (
            Canonical(),
            Rescale(factor=FACTOR),
            ForegroundFromCorners(threshold=DARK),
            FitShape(shape=shape),
            ZScore(),
        )
    )


DATA_SETS = {
    "mood-brain": NamedDataSet(shape=(64, 64, 64), list_cases=partial(list_cases, "mood-brain"), pipeline=pipeline),
    "mood-abdomen": NamedDataSet(
        shape=(128, 128, 128), list_cases=partial(list_cases, "mood-abdomen"), pipeline=pipeline
    ),
}
