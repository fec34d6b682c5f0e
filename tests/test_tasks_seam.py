"""What a task of one's own may decide: its regions and how many there are; the core tasks draw as they always did."""

import dataclasses
from dataclasses import dataclass, field

import numpy as np
import pytest
from phantoms import phantom

from synthanom import synthesise, tasks
from synthanom.batched.making import can_make
from synthanom.labels import FlippedGaussian
from synthanom.regions import AbstractShape, Geometry, Region
from synthanom.streams import stream
from synthanom.tasks import PAPER_TASKS, TASKS

LABELLER = FlippedGaussian()


@dataclass(frozen=True, kw_only=True)
class MiddleSquare(AbstractShape):
    """Always the same square; settings of its own."""

    side: int = 7

    def draw(self, rng, foreground, within=None):
        del rng, within
        centre = tuple(n // 2 for n in foreground.shape)
        return Region.from_geometry(Geometry("cuboid", (self.side,) * 2, np.eye(2), centre), foreground.shape)


@dataclass(frozen=True, kw_only=True)
class Squares(tasks.SmoothIntensity):
    """Two squares, whatever the options say of probabilities."""

    shape: MiddleSquare = field(default_factory=MiddleSquare)

    def draw_count(self, rng, most, repeat):
        assert (most, repeat) == (3, 0.0)
        return 2 + int(rng.random())


def test_a_task_draws_its_own_regions_and_their_number():
    result = synthesise(
        phantom((40, 48)), Squares(), LABELLER, rng=np.random.default_rng(0), max_anomalies=3, repeat=0.0
    )
    assert [a.region.count for a in result.recipe.anomalies] == [49, 49]
    assert result.recipe.anomalies[0].region.geometry.position == (20.0, 24.0)


def test_settings_of_its_shape_survive_json():
    task = Squares(shape=MiddleSquare(side=5))
    assert Squares.from_dict(task.to_dict()) == task
    assert task.to_dict()["shape"] == {"side": 5}


def test_what_draws_in_ways_of_its_own_has_no_batched_form():
    @dataclass(frozen=True, kw_only=True)
    class Elsewhere(tasks.Sink):
        def draw_region(self, rng, sample, within=None):
            return super().draw_region(rng, sample, within)

    for task in (Squares(), Elsewhere(), dataclasses.replace(tasks.SmoothIntensity(), shape=MiddleSquare())):
        assert not can_make([task], LABELLER)
    for name, task in TASKS.items():
        assert can_make([task()], LABELLER) == (name in PAPER_TASKS)


# Where each stream is after twenty samples. If one of them changes, so does every data set: do not.
AFTER = {
    "intra_blend": 0.2185592112677125,
    "inter_blend": 0.8859629799988612,
    "sink": 0.3996702891725912,
    "source": 0.8290130362974385,
    "smooth_intensity": 0.771092293781316,
}


@pytest.mark.parametrize("name", AFTER)
def test_the_core_tasks_draw_as_often_as_they_always_did(name):
    samples = [phantom((40, 48), 1, seed) for seed in range(3)]
    rng = stream(0, "f", name, 0)
    for _ in range(20):
        synthesise(samples[0], TASKS[name](), LABELLER, rng=rng, donors=samples)
    assert rng.random() == AFTER[name]
