"""`build-dataset --within`: location priors from masks and boxes to shards, replays and live training."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from building import build, shards, smooth, write_nifti, write_pictures, write_volumes
from PIL import Image
from synthanom_builders.marked_boxes import MarkedBox

from synthanom import Recipe
from synthanom.errors import SynthanomError
from synthanom.joining import join
from synthanom.labels import FlippedGaussian
from synthanom.manifest import read_manifest, write_manifest
from synthanom.preprocess import (
    Canonical,
    CropToForeground,
    FitShape,
    PadToMultiple,
    Pipeline,
    Resample,
    Rescale,
    Square,
)
from synthanom.replaying import check_replay, replay_recipe
from synthanom.sample import Sample
from synthanom.shards import DataSet, check, write_healthy
from synthanom.streams import stream
from synthanom.synthesis import synthesise
from synthanom.tasks import TASKS
from synthanom.training.folds import choose_run
from synthanom.training.live import live_pictures
from synthanom.training.live_batches import LiveBatches, LiveMaker
from synthanom.training.rows import index_rows, training_picks
from synthanom.volumes import read

pytestmark = pytest.mark.usefixtures("one_thread")

FEW = ("--variants", 2, "--workers", 2, "--tasks", "sink,smooth_intensity", "--folds", 2)
SIDE = 20


@pytest.fixture(scope="module")
def raw(tmp_path_factory) -> Path:
    """Eight pictures; the left half of the even ones, the lower half of the others is where anomalies may lie."""
    folder = write_pictures(tmp_path_factory.mktemp("raw"), 8, SIDE)
    for number in range(8):
        Image.fromarray(np.where(half(number), 255, 0).astype(np.uint8)).save(folder / f"p{number:02}_place.png")
    return folder


def half(number: int) -> np.ndarray:
    mask = np.zeros((SIDE, SIDE), bool)
    mask[(slice(None), slice(SIDE // 2)) if number % 2 == 0 else (slice(SIDE // 2, None),)] = True
    return mask


def table(path: Path, names: range = range(8)) -> Path:
    lines = ["id,y0,y1,x0,x1"]
    for number in names:
        lines.append(
            f"p{number:02}," + (f"0,{SIDE},0,{SIDE // 2}" if number % 2 == 0 else f"{SIDE // 2},{SIDE},0,{SIDE}")
        )
    path.write_text("\n".join(lines) + "\n")
    return path


def yolo(folder: Path) -> Path:
    folder.mkdir()
    for number in range(8):
        (folder / f"p{number:02}.txt").write_text(
            "0 0.25 0.5 0.5 1.0\n" if number % 2 == 0 else "0 0.5 0.75 1 0.5 0.9\n"
        )
    return folder


@pytest.fixture(scope="module")
def config(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("config") / "cut.yaml"
    path.write_text("options: {inside_only: true}\n")
    return path


@pytest.fixture(scope="module")
def built(raw, config, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("built") / "data"
    ran = build(raw, "--out", out, *FEW, "--within", "*_place.png", "--task-config", config)
    assert ran.status == 0, ran.err
    assert "within: masks '*_place.png', for 8 of 8 images" in ran.err
    return out


def test_anomalies_lie_in_the_prior_and_replay_to_the_bit(built):
    assert check(built) == []
    report = check_replay(built)
    assert report.rows == 32 and report.problems == () and report.largest_difference == 0
    with DataSet.open(built) as data:
        assert data.placed and data.manifest.configuration["within"] == "masks"
        for task in data.tasks:
            for row in range(data.rows(task)):
                made = data.anomaly(task, row)
                sample = data.healthy(made.healthy_index)
                assert np.array_equal(sample.within, half(int(sample.id[1:3])))
                assert np.array_equal(made.image[:, ~sample.within], sample.image[:, ~sample.within])
                recipe = Recipe.from_json(made.recipe)
                for anomaly in recipe.anomalies:
                    inside = np.count_nonzero(anomaly.region.mask & sample.within[anomaly.region.slices])
                    assert 2 * inside >= anomaly.region.count
                assert recipe.options.inside_only and recipe.sample.within


def test_rows_are_synthesise_with_the_stored_prior(built):
    with DataSet.open(built) as data:
        made = data.anomaly("sink", 3)
        sample = data.healthy(made.healthy_index)
        plain = Sample.from_array(sample.image, sample.foreground, sample.spacing, id=sample.id)
        rng = stream(0, sample.id, "sink", made.variant)
        alone = synthesise(
            plain, TASKS["sink"](), FlippedGaussian(), rng=rng, within=half(int(sample.id[1:3])), inside_only=True
        )
        assert alone.recipe.to_json() == made.recipe and np.array_equal(alone.image, made.image)


def test_boxes_and_masks_of_the_same_voxels_make_the_same_shards(raw, built, config, tmp_path):
    plain = tmp_path / "raw"
    shutil.copytree(raw, plain, ignore=shutil.ignore_patterns("*_place.png"))
    for name, within in (("table", table(tmp_path / "boxes.csv")), ("yolo", yolo(tmp_path / "boxes"))):
        ran = build(plain, "--out", tmp_path / name, *FEW, "--within", within, "--task-config", config)
        assert ran.status == 0 and "within: boxes of boxes" in ran.err, ran.err
        assert shards(tmp_path / name) == shards(built)
        assert read_manifest(tmp_path / name).configuration["within"] == "boxes"
        again = build(plain, "--out", tmp_path / name, *FEW, "--within", within, "--task-config", config)
        assert again.status == 0 and "nothing was written" in again.out
    table(tmp_path / "boxes.csv", range(7))
    other = build(plain, "--out", tmp_path / "table", *FEW, "--within", tmp_path / "boxes.csv", "--task-config", config)
    assert other.status == 2 and "images changed: 1, the first p07" in other.error


def test_without_within_nothing_is_other_than_before(raw, tmp_path):
    plain = tmp_path / "raw"
    shutil.copytree(raw, plain, ignore=shutil.ignore_patterns("*_place.png"))
    assert build(plain, "--out", tmp_path / "out", *FEW).status == 0
    with h5py.File(tmp_path / "out/healthy/00000.h5") as file:
        assert "within" not in file
    for name in ("plan.json", "dataset.json"):
        content = (tmp_path / "out" / name).read_text()
        assert "within" not in content and "inside_only" not in content and 'unit"' not in content
    with DataSet.open(tmp_path / "out") as data:
        assert not data.placed and data.healthy(0).within is None
        assert b"within" not in data.recipe("sink", 0)
    manifest = read_manifest(tmp_path / "out")
    write_manifest(tmp_path / "out", replace(manifest, configuration={**manifest.configuration, "within": "masks"}))
    assert any("must have a location prior if configuration names within" in line for line in check(tmp_path / "out"))


def test_live_training_knows_the_priors(built):
    with DataSet.open(built) as data:
        run = choose_run(data.tasks, 1, 0)
        source = live_pictures(data, run, seed=3)
        picks = training_picks(index_rows(data, run), run, epoch=1, seed=3, flip=0.0, live=True)
        batches = list(LiveBatches(maker=LiveMaker(source, torch.device("cpu")), picks=picks, batch_size=3))
        images = torch.cat([batch.images for batch in batches]).numpy()
        anomalous = 0
        for pick, image in zip(picks, images, strict=True):
            sample = data.healthy(pick.healthy)
            assert np.array_equal(image, source.picture(pick)[0])
            assert np.array_equal(image[:, ~sample.within], sample.image[:, ~sample.within])
            recipe = source.recipe(pick)
            if recipe is not None:
                anomalous += 1
                again = replay_recipe(built, Recipe.from_json(recipe.to_json()))
                assert np.array_equal(again.image, image)
        assert anomalous


def test_live_training_places_by_the_priors_alone(raw, tmp_path):
    """Without `inside_only`, which sends pictures one by one anyway."""
    assert build(raw, "--out", tmp_path / "data", *FEW, "--within", "*_place.png").status == 0
    with DataSet.open(tmp_path / "data") as data:
        run = choose_run(data.tasks, 1, 0)
        source = live_pictures(data, run, seed=3)
        assert not source.options.inside_only
        picks = training_picks(index_rows(data, run), run, epoch=1, seed=3, flip=0.0, live=True)
        batches = list(LiveBatches(maker=LiveMaker(source, torch.device("cpu")), picks=picks, batch_size=3))
        images = torch.cat([batch.images for batch in batches]).numpy()
        assert any(source.recipe(pick) is not None for pick in picks)
        for pick, image in zip(picks, images, strict=True):
            assert np.array_equal(image, source.picture(pick)[0])


def test_every_pixel_that_a_box_of_shares_touches_counts():
    box = MarkedBox(first=(0.1, 0.25), end=(0.3, 0.5), shares=True).voxels((24, 24))
    assert (box.first, box.end) == ((2, 6), (8, 12))  # 2.4 to 7.2, 6 to 12
    assert MarkedBox(first=(1.0, 0.0), end=(1.0, 0.01), shares=True).voxels((24, 24)).end == (24, 1)


def test_images_without_a_prior_are_skipped_like_other_bad_ones(raw, tmp_path):
    shutil.copytree(raw, tmp_path / "raw")
    (tmp_path / "raw/p03_place.png").unlink()
    Image.fromarray(np.zeros((SIDE, SIDE), np.uint8)).save(tmp_path / "raw/p04_place.png")
    Image.fromarray(np.full((SIDE, SIDE + 1), 255, np.uint8)).save(tmp_path / "raw/p05_place.png")
    ran = build(tmp_path / "raw", "--out", tmp_path / "out", *FEW, "--within", "*_place.png")
    assert ran.status == 3
    reasons = (tmp_path / "out/skipped.csv").read_text()
    assert "--within has no mask or box for it" in reasons and "must mark at least one voxel" in reasons
    assert "must lie on the grid" in reasons and read_manifest(tmp_path / "out").counts["healthy"] == 5
    assert check(tmp_path / "out") == []


@pytest.mark.parametrize(
    ("within", "message"),
    [
        ("*_nothing.png", "--within '*_nothing.png' must be a table of boxes (.csv), a folder"),
        ("none.csv", "a readable table of boxes is needed"),
        ("unknown.csv", "ids must be those of the scans"),
        ("wrong.csv", "the columns must be id,y0,y1,x0,x1 or id,z0,z1,y0,y1,x0,x1"),
        ("empty", "must hold a text file of boxes for the images"),
        ("bad", "line 1 must be 'class x y width height [confidence]'"),
    ],
)
def test_what_names_no_place_is_refused_before_any_work(raw, tmp_path, within, message):
    (tmp_path / "unknown.csv").write_text("id,y0,y1,x0,x1\nnobody,0,5,0,5\n")
    (tmp_path / "wrong.csv").write_text("id,x0\np00,5\n")
    (tmp_path / "empty").mkdir()
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad/p00.txt").write_text("0 0.5 0.5 2 1\n")
    named = within if within.startswith("*") else tmp_path / within
    ran = build(raw, "--out", tmp_path / "out", *FEW, "--within", named)
    assert ran.status == 2 and message in ran.error, ran.err
    assert not (tmp_path / "out").exists()


def test_other_misuse_is_refused(raw, config, tmp_path):
    ran = build(raw, "--out", tmp_path / "out", *FEW, "--task-config", config)
    assert ran.status == 2 and "options.inside_only undoes changes outside of --within" in ran.error
    ran = build(raw, "--out", tmp_path / "out", "--within", "*_m.png", command="knee-us")
    assert ran.status == 2 and "--within must be a table of boxes (.csv) or a folder" in ran.error
    ran = build(raw, "--out", tmp_path / "out", "--test", "--within", "*_place.png")
    assert ran.status == 2 and "got --within; leave it out" in ran.error
    boxes = table(tmp_path / "boxes.csv")
    boxes.write_text(boxes.read_text().replace(f"p00,0,{SIDE},", f"p00,0,{SIDE + 1},"))
    shutil.copytree(raw, tmp_path / "raw", ignore=shutil.ignore_patterns("*_place.png"))
    ran = build(tmp_path / "raw", "--out", tmp_path / "out", *FEW, "--within", boxes)
    assert ran.status == 3 and "boxes must lie inside the scan" in (tmp_path / "out/skipped.csv").read_text()


def test_boxes_have_the_axes_of_the_scans(tmp_path):
    volumes = write_volumes(tmp_path / "volumes", 4, (14, 15, 16))
    (tmp_path / "boxes").mkdir()
    (tmp_path / "boxes/sub-00_T1.txt").write_text("0 0.5 0.5 0.5 0.5\n")
    lines = ["id,y0,y1,x0,x1", *(f"sub-{k:02}/sub-{k:02}_T1,0,9,0,9" for k in range(4))]
    (tmp_path / "boxes.csv").write_text("\n".join(lines))
    for name in ("boxes", "boxes.csv"):
        ran = build(volumes, "--out", tmp_path / "out", *FEW, "--within", tmp_path / name)
        assert ran.status == 2 and "must have the 3 axes of the scan, got 2" in ran.error, ran.err


def test_pushes_in_mm_need_voxel_sizes(raw, tmp_path):
    (tmp_path / "mm.yaml").write_text("sink: {shape: {unit: mm}, unit: mm}\n")
    ran = build(raw, "--out", tmp_path / "out", *FEW, "--task-config", tmp_path / "mm.yaml")
    assert ran.status == 2 and "unit 'mm' of sink needs the voxel size" in ran.error
    volumes = write_volumes(tmp_path / "volumes", 4, (14, 15, 16))
    ran = build(volumes, "--out", tmp_path / "out", *FEW, "--task-config", tmp_path / "mm.yaml")
    assert ran.status == 0, ran.err
    assert check_replay(tmp_path / "out").problems == ()
    settings = {task.name: task.settings for task in read_manifest(tmp_path / "out").tasks}
    assert (
        settings["sink"]["unit"] == settings["sink"]["shape"]["unit"] == "mm"
        and "unit" not in settings["smooth_intensity"]
    )


def test_damaged_and_exchanged_priors_are_told(built, tmp_path):
    shutil.copytree(built, tmp_path / "data")
    path = tmp_path / "data/healthy/00000.h5"
    with h5py.File(path, "r+") as file:
        file["within"][0] = file["within"][1]
    problems = check(tmp_path / "data")
    assert any("recipe must be of the location prior of its healthy row" in problem for problem in problems)


def test_all_rows_of_a_shard_or_none_have_a_prior(tmp_path):
    samples = [
        Sample.from_array(smooth((1, 16, 16), k) / 60 - 1.5, id=f"s{k}", within=((0, 0), (8, 8)) if k else None)
        for k in range(2)
    ]
    with pytest.raises(SynthanomError, match="all rows or none must have a location prior, got 1 of 2"):
        write_healthy(tmp_path / "data/healthy/00000.h5", samples, [(0, 0)] * 2)


def test_data_sets_with_and_without_priors_are_not_joined(raw, tmp_path):
    assert build(raw, "--out", tmp_path / "placed", *FEW, "--within", "*_place.png").status == 0
    for number in range(8):
        image = Image.fromarray(smooth((SIDE, SIDE), 50 + number).astype(np.uint8))
        (tmp_path / "other").mkdir(exist_ok=True)
        image.save(tmp_path / f"other/q{number:02}.png")
    assert build(tmp_path / "other", "--out", tmp_path / "free", *FEW).status == 0
    with pytest.raises(SynthanomError, match="having location priors must be as in"):
        join([tmp_path / "placed", tmp_path / "free"], tmp_path / "not")


def test_joined_data_sets_keep_their_priors(raw, built, config, tmp_path):
    shutil.copytree(raw, tmp_path / "raw")
    for number in range(8):
        for end in ("", "_place"):
            image = Image.open(tmp_path / f"raw/p{number:02}{end}.png")
            (image if end else image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)).save(
                tmp_path / f"raw/q{number:02}{end}.png"
            )
            (tmp_path / f"raw/p{number:02}{end}.png").unlink()
    more = ("--within", "*_place.png", "--task-config", config)
    assert build(tmp_path / "raw", "--out", tmp_path / "two", *FEW, *more).status == 0
    join([built, tmp_path / "two"], tmp_path / "joined")
    assert check(tmp_path / "joined") == [] and check_replay(tmp_path / "joined").problems == ()
    with DataSet.open(tmp_path / "joined") as data:
        assert all(np.array_equal(sample.within, half(int(sample.id[1:3]))) for sample in data)


LAS = np.array([[-1.0, 0, 0, 20], [0, 0, 1.2, -3], [0, 0.8, 0, 4], [0, 0, 0, 1]])


@pytest.mark.parametrize(
    "steps",
    [
        (Canonical(),),
        (Canonical(), Resample(spacing=1.5)),
        (Resample(spacing=0.7), FitShape(shape=(26, 24, 22))),
        (CropToForeground(margin=1), PadToMultiple(multiple=8)),
        (Square(by="pad"), Rescale(factor=0.5)),
        (Square(by="crop"),),
    ],
    ids=lambda steps: "-".join(step.name for step in steps),
)
def test_priors_go_through_the_steps_as_foregrounds_do(steps, tmp_path):
    volume = read(write_nifti(tmp_path / "a.nii", smooth((22, 26, 30), 0), LAS))
    mask = np.zeros(volume.image.shape[1:], bool)
    mask[3:17, 4:20, 5:16] = True
    prepared = Pipeline(steps).prepare(volume, mask, mask)
    assert prepared.foreground.any() and np.array_equal(prepared.within, prepared.foreground)
    plain = Pipeline(steps).prepare(volume, mask)
    assert np.array_equal(plain.image, prepared.image) and plain.within is None
    assert prepared.trace == plain.trace


def test_volumes_are_turned_with_their_masks(tmp_path):
    """The mark lies on the same voxels of the world, whatever the stored orientation."""
    raw = tmp_path / "raw"
    for number in range(4):
        array = smooth((16, 18, 20), number)
        mark = np.zeros(array.shape)
        mark[2:10, 3:12, 4:13] = 1
        affine = LAS if number % 2 else np.diag([1.0, 0.8, 1.2, 1.0])
        turned = np.flip(array.transpose(0, 2, 1), 0) if number % 2 else array
        marked = np.flip(mark.transpose(0, 2, 1), 0) if number % 2 else mark
        write_nifti(raw / f"s{number}.nii", turned, affine)
        write_nifti(raw / f"s{number}_lobe.nii", marked, affine)
    more = ("--variants", 1, "--workers", 1, "--tasks", "sink", "--folds", 1, "--within", "*_lobe.nii")
    ran = build(raw, "--out", tmp_path / "out", *more)
    assert ran.status == 0, ran.err
    with DataSet.open(tmp_path / "out") as data:
        expected = np.zeros((20, 18, 16), bool)
        expected[4:13, 3:12, 2:10] = True
        assert all(np.array_equal(sample.within, expected) for sample in data)
    assert json.loads((tmp_path / "out/plan.json").read_text())["options"]["within"] == "masks"
