"""Sizes and pushes in mm: round in the body whatever the voxels, equal to voxels where voxels are cubes."""

import dataclasses

import numpy as np
import pytest
from phantoms import ellipsoid, field, phantom

from synthanom import Recipe, Sample, SynthanomError, free_forms, replay, synthesise, synthesise_batch, tasks
from synthanom.batched.tables import is_batched
from synthanom.kernels import inner_boundary, periodic_gaussian
from synthanom.kernels.inner_boundary import reference as boundary_reference
from synthanom.labels import FlippedGaussian
from synthanom.regions import ShapeSettings, draw, draw_geometry, draw_physical, draw_physical_geometry
from synthanom.streams import stream
from synthanom.tasks import TASKS
from synthanom.tasks.abstract import AbstractTask
from synthanom.tasks.ball_shape import BallShape
from synthanom.tasks.cutpaste import PatchShape
from synthanom.tasks.nsa import ResizedShape
from synthanom.tasks.same_place import SquareShape

LABELLER = FlippedGaussian()
VOXELS, MM = ShapeSettings(), ShapeSettings(unit="mm")


def thick(shape=(20, 48, 52), spacing=(3.0, 1.0, 1.0), name="thick", voxels=True):
    mask = ellipsoid(shape)
    return Sample.from_array(field(shape, 1, 4) * mask, mask, spacing if voxels else None, id=name)


def half_extents(geometry, spacing):
    """Of an ellipsoid, in mm: the largest |(D M R) e| of a unit vector e, along each axis."""
    return np.linalg.norm(np.diag(spacing) @ geometry.matrix * (np.array(geometry.size) / 2), axis=1)


def test_extents_in_mm_are_distributed_alike_along_all_axes():
    shape, spacing = (40, 120, 120), (3.0, 1.0, 1.0)
    extents = {}
    for settings, draw_one in (
        (MM, lambda rng: draw_physical_geometry(rng, shape, MM, spacing)),
        (VOXELS, lambda rng: draw_geometry(rng, (120, 120, 120), VOXELS)),  # as if voxels were cubes
    ):
        rng, found = np.random.default_rng(0), []
        while len(found) < 3000:
            geometry = draw_one(rng)
            if geometry.kind == "ellipsoid":
                found.append(half_extents(geometry, spacing))
        extents[settings.unit] = np.array(found)
    for q in (0.1, 0.25, 0.5, 0.75, 0.9):
        along = np.quantile(extents["mm"], q, axis=0)
        np.testing.assert_allclose(along, along.mean(), rtol=0.06)
        ignored = np.quantile(extents["voxels"], q, axis=0)
        assert ignored[0] > 2 * ignored[1]  # three times as thick where voxels are not looked at
    assert extents["mm"].max() <= 0.5 * 0.8 * 120 + 1


def test_a_ball_in_mm_holds_the_volume_of_its_formula():
    round_one = ShapeSettings(smallest=0.5, largest=0.5, shear=0.0, unit="mm")
    for seed in range(20):
        geometry = draw_physical_geometry(np.random.default_rng(seed), (30, 90, 90), round_one, (3.0, 1.0, 1.0))
        if geometry.kind == "ellipsoid":
            assert len(set(geometry.size)) == 1
            scale = np.diag([3.0, 1.0, 1.0]) @ geometry.matrix
            np.testing.assert_allclose(scale @ scale.T, scale[0] @ scale[0] * np.eye(3), atol=1e-12)  # no axis longer
            mask = geometry.at((15, 45, 45)).mask((30, 90, 90))
            radius = geometry.size[0] / 2 * np.sqrt((scale @ scale.T)[0, 0])
            assert mask.sum() * 3.0 == pytest.approx(4 / 3 * np.pi * radius**3, rel=0.03)


@pytest.mark.parametrize(("shape", "spacing"), [((40, 40), 0.7), ((24, 24, 24), 1.0), ((24, 24, 24), 2.5)])
def test_cubes_of_voxels_give_what_voxels_give(shape, spacing):
    """Where sides and spacings are alike in all axes mm and voxels are the same draws, to the bit."""
    foreground = ellipsoid(shape)
    for seed in range(40):
        mm = draw_physical(np.random.default_rng(seed), foreground, MM, (spacing,) * len(shape))
        voxels = draw(np.random.default_rng(seed), foreground, VOXELS)
        assert mm.geometry == voxels.geometry and mm.corner == voxels.corner
        assert np.array_equal(mm.mask, voxels.mask)


def test_the_shortest_side_in_mm_is_the_reference():
    """A longer axis changes no size."""
    wide = draw_physical_geometry(np.random.default_rng(3), (20, 60, 200), MM, (3.0, 1.0, 1.0))
    assert wide == draw_physical_geometry(np.random.default_rng(3), (20, 60, 60), MM, (3.0, 1.0, 1.0))


@pytest.mark.parametrize("name", ["sink", "source", "smooth_intensity", "intra_blend", "cutout"])
def test_replays_and_json_know_voxels_only(name):
    sample, other = thick(), thick(name="other")
    task = TASKS[name](shape=MM)
    for number in range(4):
        made = synthesise(sample, task, LABELLER, rng=stream(0, "mm", name, number), donors=[sample, other])
        recipe = Recipe.from_json(made.recipe.to_json())
        again = replay(sample, recipe, LABELLER, donors=[sample, other])
        assert np.array_equal(again.image, made.image) and np.array_equal(again.label, made.label)
        for anomaly in made.recipe.anomalies:
            region = anomaly.region
            assert 2 * np.count_nonzero(region.mask & sample.foreground[region.slices]) >= region.count


def test_settings_are_stored_only_where_they_are_set():
    for name, task in TASKS.items():
        assert "unit" not in task().to_dict() and "unit" not in task().to_dict()["shape"], name
        assert task.from_dict(task().to_dict()) == task()
    assert {"push", "order", "shape"} <= set(tasks.Sink().to_dict())
    for task in (tasks.Sink(shape=MM), tasks.Source(unit="mm"), tasks.Sink(shape=MM, unit="mm")):
        stored = task.to_dict()
        assert (stored.get("unit") == "mm") is (task.unit == "mm")
        assert type(task).from_dict(stored) == task and task.physical
    assert VOXELS.numbers.tolist() == MM.numbers.tolist()


@pytest.mark.parametrize(
    "task",
    [tasks.Sink(shape=MM), tasks.Sink(unit="mm"), tasks.SmoothIntensity(shape=MM)],
    ids=["shape", "push", "smooth"],
)
def test_a_sample_without_voxel_size_is_refused(task):
    with pytest.raises(SynthanomError, match=r"unit 'mm' needs the voxel size, got none; pass spacing="):
        synthesise(thick(voxels=False), task, LABELLER, rng=np.random.default_rng(0))


def test_other_units_and_foregrounds_alone_are_refused():
    with pytest.raises(SynthanomError, match=r"unit must be one of voxels, mm, got 'cm'"):
        ShapeSettings(unit="cm")
    with pytest.raises(SynthanomError, match="unit must be one of"):
        tasks.Sink(unit="MM")
    with pytest.raises(SynthanomError, match=r"sink\.shape.*unit must be|sink\.shape\.unit must be"):
        tasks.Sink.from_dict({"shape": {"unit": "inch"}})
    with pytest.raises(SynthanomError, match="need the voxel size"):
        MM.draw(np.random.default_rng(0), np.ones((20, 20), bool))


@pytest.mark.parametrize("flat", [False, True])
def test_boundary_distances_in_mm_are_those_of_the_definition(flat):
    spacing = (1.3, 0.7) if flat else (3.0, 1.0, 0.8)
    sample = thick((30, 34) if flat else (20, 24, 26), spacing)
    for seed in range(10):
        region = draw_physical(np.random.default_rng(seed), sample.foreground, MM, spacing)
        centre = np.argwhere(region.mask)[seed % region.count]
        found = inner_boundary.mean_distance(region.mask, centre, spacing)
        assert found == pytest.approx(boundary_reference.mean_distance(region.mask, centre, spacing), rel=1e-12)


def test_a_push_in_mm_is_that_many_voxels_where_voxels_are_cubes():
    sample = Sample.from_array(phantom((40, 44)).image, None, (0.5, 0.5), id="half")
    for number in range(12):
        one, two = (
            synthesise(sample, task, LABELLER, rng=stream(0, "p", "sink", number)).recipe.anomalies
            for task in (tasks.Sink(push=(1.0, 2.0)), tasks.Sink(push=(0.5, 1.0), unit="mm"))
        )
        assert len(one) == len(two)
        for a, b in zip(one, two, strict=True):
            assert a.region.geometry == b.region.geometry and a.params.centre == b.params.centre
            assert b.params.factor == pytest.approx(a.params.factor, rel=1e-12)


def test_a_push_in_mm_is_bounded_by_the_distance_in_mm():
    """f = ln(a / e) / ln(b / e) with e and the push in mm: from f and e the push follows."""
    sample, low, high = thick(), 1.0, 2.0
    seen = []
    for number in range(30):
        made = synthesise(sample, tasks.Sink(push=(low, high), unit="mm"), LABELLER, rng=stream(0, "b", "sink", number))
        for anomaly in made.recipe.anomalies:
            centre = np.subtract(anomaly.params.centre, anomaly.region.corner)
            e = boundary_reference.mean_distance(anomaly.region.mask, centre, sample.spacing)
            pushes = np.linspace(1e-3, 0.999, 4000) * e / np.sqrt(2)
            factors = np.log(0.5 - pushes / e / np.sqrt(2)) / np.log(0.5 + pushes / e / np.sqrt(2))
            push = float(np.interp(anomaly.params.factor, factors, pushes))
            share = push / (e / np.sqrt(2))
            assert 0.099 <= share <= 0.901 and (
                low - 0.02 <= push <= high + 0.02 or min(share - 0.1, 0.9 - share) < 0.01
            )
            seen.append(push)
    assert max(seen) - min(seen) > 0.5


def test_batches_are_made_by_samples():
    import torch

    samples = [thick(name=f"s{k}") for k in range(2)]
    images = torch.from_numpy(np.stack([s.image for s in samples]))
    masks = torch.from_numpy(np.stack([s.foreground for s in samples]))
    for task in (tasks.Sink(shape=MM), tasks.Sink(unit="mm")):
        assert not is_batched(task) and is_batched(tasks.Sink())
        batch = synthesise_batch(
            images, masks, task, LABELLER, rng=[stream(0, s.id, "sink", 0) for s in samples], way="batched",
            ids=[s.id for s in samples], spacings=[s.spacing for s in samples],
        )  # fmt: skip
        for k, sample in enumerate(samples):
            alone = synthesise(sample, task, LABELLER, rng=stream(0, sample.id, "sink", 0))
            assert batch.recipes[k] == alone.recipe and np.array_equal(batch.images[k].numpy(), alone.image)


def test_tasks_are_physical_where_a_setting_is():
    assert isinstance(tasks.Sink(), AbstractTask) and not tasks.Sink().physical
    assert dataclasses.replace(tasks.Sink(), unit="mm").physical and tasks.IntraBlend(shape=MM).physical


def shapes(unit):
    """Every kind of shape but `ShapeSettings`' own ellipsoids and cuboids, by name."""
    return {
        "organic": ShapeSettings(unit=unit, form="organic"),
        "hull": ShapeSettings(unit=unit, form="hull"),
        "ball": BallShape(unit=unit, smallest=0.1, largest=0.2),
        "square": SquareShape(unit=unit, smallest=0.1),
        "patch": PatchShape(unit=unit, aspect=(1.0, 1.0)),
        "resized": ResizedShape(unit=unit, gamma_scale=0.001, offset=0.1, resize=(1.0, 1.0)),
    }


@pytest.mark.parametrize("name", shapes("mm"))
def test_every_shape_is_round_in_mm_where_it_is_asked_to_be(name):
    """Extents along slices of 3 mm and pixels of 1 mm: alike in mm, or three times as thick, in the median of many."""
    sample = Sample.from_array(field((36, 108, 108), 1, 4), np.ones((36, 108, 108), bool), (3.0, 1.0, 1.0), id="w")
    found = {}
    for unit in ("mm", "voxels"):
        extents = []
        for seed in range(60):
            region = shapes(unit)[name].draw_in(np.random.default_rng(seed), sample)
            inside = np.argwhere(region.mask)
            extents.append((inside.max(axis=0) - inside.min(axis=0) + 1) * [3.0, 1.0, 1.0])
        extents = np.median(extents, axis=0)
        found[unit] = extents[0] / extents[1:].mean()
    assert 0.75 < found["mm"] < 1.3, found
    # in voxels a square's sides are shares of the shortest one, and so are a ball's and a patch's: as many voxels
    assert 2 * found["mm"] < found["voxels"] or name == "resized"


def test_waves_of_organic_outlines_are_as_long_along_all_axes(monkeypatch):
    smooth, sigmas = periodic_gaussian.smooth, []

    def watched(noise, sigma):
        sigmas.append(sigma)
        return smooth(noise, sigma)

    monkeypatch.setattr(periodic_gaussian, "smooth", watched)
    shape = draw_geometry(np.random.default_rng(1), (40, 40, 40), VOXELS)
    free_forms.organic(np.random.default_rng(0), shape, (3, 1, 1.5))
    along = np.array(sigmas) * (3, 1, 1.5)
    assert along.min() > 0 and np.ptp(along) < 1e-9


@pytest.mark.parametrize("name", shapes("mm"))
@pytest.mark.parametrize("shape", [(40, 40), (24, 24, 24)])
def test_cubes_of_voxels_give_every_shape_that_voxels_give(name, shape):
    sample = Sample.from_array(field(shape, 1, 4), ellipsoid(shape), (0.5,) * len(shape), id="cube")
    for seed in range(20):
        mm, voxels = (shapes(unit)[name].draw_in(np.random.default_rng(seed), sample) for unit in ("mm", "voxels"))
        assert mm.corner == voxels.corner and np.array_equal(mm.mask, voxels.mask)


@pytest.mark.parametrize("name", [n for n in TASKS if n != "perlin_texture"])  # whose cells are as long as may be
def test_every_task_knows_mm(name):
    shape = TASKS[name]().shape
    if shape == TASKS["sink"]().shape:
        shape = MM
    task = TASKS[name](shape=dataclasses.replace(shape, unit="mm"))
    stored = task.to_dict()
    assert stored["shape"]["unit"] == "mm" and TASKS[name].from_dict(stored) == task and task.physical
    sample = thick()
    other = Sample.from_array(field(sample.shape, 1, 9), sample.foreground, sample.spacing, id="other")
    made = synthesise(sample, task, LABELLER, rng=stream(0, "mm", name, 0), donors=[sample, other])
    again = replay(sample, Recipe.from_json(made.recipe.to_json()), LABELLER, donors=[sample, other])
    assert np.array_equal(again.image, made.image)
    with pytest.raises(SynthanomError, match="needs the voxel size"):
        synthesise(thick(voxels=False), task, LABELLER, rng=stream(0, "mm", name, 0), donors=[sample, other])
    with pytest.raises(SynthanomError, match="need the voxel size"):
        task.shape.draw(np.random.default_rng(0), np.ones((20, 20), bool))
    with pytest.raises(SynthanomError, match="unit must be one of"):
        dataclasses.replace(shape, unit="cm")
