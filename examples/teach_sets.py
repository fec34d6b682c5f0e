"""Healthy images to make anomalies in, and images of disease to judge on, for examples/which_tasks.py."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from chest_xray import command
from virtual_cohort import GRID, Volume, subject, template, with_lesion
from xray_scores import TestImages

from synthanom import Sample
from synthanom.donors import Donors
from synthanom.metrics import Aggregation
from synthanom.preprocess import Pipeline
from synthanom.shards import DataSet
from synthanom.tasks import TASKS
from synthanom.textures import TextureDonors
from synthanom.truth_set import open_truth_set
from synthanom.volumes import read
from synthanom.volumes.reading import reading_of

SEEN = 12  # pixels of a lesion in the slice, at least: a disk of 16 mm


@dataclass(frozen=True, kw_only=True, eq=False)
class Teaching:
    """What nets learn from and what they are judged on.

    Attributes
    ----------
    healthy : sequence of Samples
    test : TestImages
    """

    healthy: Sequence[Sample]
    test: TestImages

    @property
    def donors(self) -> Mapping[str, Donors]:
        """By task: other healthy images, or procedural textures for what borrows from elsewhere."""
        first = self.healthy[0]
        deviation = float(np.std(first.image[:, first.foreground]))
        textures = TextureDonors(shape=first.shape, channels=len(first.image), deviation=deviation)
        lenders: Mapping[str, Sequence[Sample]] = {"other_subject": self.healthy, "external": textures}
        return {name: lenders[task.donor] for name, task in TASKS.items() if task.donor in lenders}


@dataclass(frozen=True, kw_only=True)
class Part:
    """One of the two sets, and how nets are trained and judged on it.

    Attributes
    ----------
    title : str
    steps, batch, quick_steps : int
        Budget of a net: so many steps of so many pictures.
    resolutions : int
        Of the U-Net.
    score : Aggregation
        What makes one number of a map; fixed beforehand.
    make : callable
        (raw folder, folder to work in, quick) -> Teaching.
    """

    title: str
    steps: int
    batch: int
    resolutions: int
    score: Aggregation
    make: Callable[[Path | None, Path, bool], Teaching]
    quick_steps: int = 2


def radiographs(raw: Path | None, out: Path, quick: bool) -> Teaching:
    """The ZhangLab set: healthy training images, and test images with and without pneumonia."""
    if raw is None:
        raise SystemExit("error: the part cxr needs the radiographs; name their folder with --raw, or --part brains")
    side = 16 if quick else 64
    data, test = out / f"data-{side}", out / "test"
    # one task, as cheap as any: the anomalies of this data set are not used, those of a net are made while it learns
    shape = ("--shape", f"{side},{side}", "--tasks", "cutout,sink", "--variants", "1")
    command("build-dataset", "zhanglab", raw, "--out", data, *shape)
    if not test.exists():
        command("build-dataset", "zhanglab", raw, "--test", "--out", test)
    with DataSet.open(data) as opened:
        healthy = list(opened)
        pipeline = Pipeline.from_dict(opened.manifest.preprocessing)
        reading = reading_of(opened.manifest.preprocessing)
    cases = open_truth_set(test).cases
    ready = [pipeline.prepare(read(case.images[0], reading), None) for case in cases]
    return Teaching(
        healthy=healthy,
        test=TestImages(
            images=np.stack([one.image for one in ready]),
            foregrounds=np.stack([one.foreground for one in ready]),
            anomalous=np.array([bool(case.anomalous) for case in cases]),
            patients=tuple(case.subject for case in cases),
        ),
    )


def brains(raw: Path | None, out: Path, quick: bool) -> Teaching:
    """The middle axial slice of virtual subjects, 48 x 40 pixels of 4 mm; a lesion crosses every second unseen one."""
    del raw, out
    healthy, unseen = (6, 8) if quick else (150, 200)
    anatomy, _ = template()
    learnt = [
        zscored(middle(subject(anatomy, np.random.default_rng([0, 0, n]))), f"virtual-{n:03d}") for n in range(healthy)
    ]
    judged = []
    for n in range(unseen):
        rng = np.random.default_rng([0, 1, n])
        image = subject(anatomy, rng)
        judged.append(zscored(middle(crossed(image, rng) if n % 2 else image), f"unseen-{n:03d}"))
    return Teaching(
        healthy=learnt,
        test=TestImages(
            images=np.stack([one.image for one in judged]),
            foregrounds=np.stack([one.foreground for one in judged]),
            anomalous=np.arange(unseen) % 2 == 1,
            patients=tuple(one.id for one in judged),
        ),
    )


def middle(image: Volume) -> npt.NDArray[np.float32]:
    """The axial slice halfway up, front on top: (Y, X)."""
    return image[:, ::-1, GRID[2] // 2].T.astype(np.float32)


def crossed(image: Volume, rng: np.random.Generator) -> Volume:
    """A subject with a lesion of which at least `SEEN` pixels lie in its middle slice, the first such of many drawn."""
    for _ in range(200):
        found, part = with_lesion(image, rng)
        if np.count_nonzero(part[:, :, GRID[2] // 2]) >= SEEN:
            return found
    raise SystemExit("error: no lesion of 200 crosses the middle slice")


def zscored(values: np.ndarray, name: str) -> Sample:
    """A picture, z-scored over its nonzero pixels, 0 elsewhere."""
    inside = values != 0
    scaled = np.where(inside, (values - values[inside].mean()) / values[inside].std(), 0.0).astype(np.float32)
    return Sample.from_array(scaled[None], inside, id=name)


PARTS = {
    "cxr": Part(
        title="pneumonia on chest radiographs of 64 x 64 pixels",
        steps=400,
        batch=8,
        resolutions=4,
        score=Aggregation(statistic="top", value=0.25),  # the paper's choice
        make=radiographs,
    ),
    "brains": Part(
        title="simulated lesions in axial slices of virtual brains",
        steps=400,
        batch=16,
        resolutions=4,
        score=Aggregation(statistic="top", value=0.01, over="foreground"),  # lesions are small
        make=brains,
    ),
}
