"""Figures against scikit-learn, and everything about maps and truth that must not be guessed."""

import json
import subprocess
import sys

import nibabel
import numpy as np
import pytest
from phantoms import field
from PIL import Image
from sklearn import metrics as oracle

from synthanom.errors import SynthanomError
from synthanom.evaluation import evaluate
from synthanom.evaluation.rows import RANDOM
from synthanom.metrics import anomalous_slices
from synthanom.volumes import write_picture, write_volume

SHAPE = (6, 14, 16)
AFFINE = np.diag([1.0, 1.0, 2.0, 1.0])


def lesion(shape, seed):
    mask = field(shape, seed=seed, smooth=1.5)[0] > 1.2
    return mask if seed % 3 else np.zeros(shape, bool)


def write_case(folder, name, seed, shape=SHAPE, affine=AFFINE):
    """A map that knows something, and its mask; every third mask is empty."""
    mask = lesion(shape, seed)
    noise = np.random.default_rng(seed).standard_normal(shape)
    score = (1 / (1 + np.exp(-noise - 1.5 * mask))).astype(np.float32)
    for kind, values in (("maps", score), ("truth", mask)):
        path = folder / kind / f"{name}.nii.gz"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_volume(path, values, affine)
    return score, mask


def cohort(folder, count=9, **how):
    return [write_case(folder, f"sub-{k // 2}/scan{k}", k, **how) for k in range(count)]


def row(found, level, score, maps="model"):
    (one,) = [r for r in found.rows if (r.level, r.score, r.maps) == (level, score, maps)]
    return one


def test_figures_are_those_of_scikit_learn(tmp_path):
    pairs = cohort(tmp_path)
    found = evaluate(tmp_path / "maps", tmp_path / "truth")
    pixels = np.concatenate([s.ravel() for s, _ in pairs]), np.concatenate([m.ravel() for _, m in pairs])
    samples = np.array([s.mean() for s, _ in pairs]), np.array([m.any() for _, m in pairs])
    # slices are axial: the first axis here
    slices = (
        np.concatenate([s.mean(axis=(1, 2)) for s, _ in pairs]),
        np.concatenate([anomalous_slices(m) for _, m in pairs]),
    )
    for level, score, (scores, truth) in (
        ("pixel", "", pixels),
        ("sample", "mean", samples),
        ("slice", "mean", slices),
    ):
        got = row(found, level, score)
        assert got.average_precision.value == pytest.approx(oracle.average_precision_score(truth, scores), abs=1e-7)
        assert got.roc_auc.value == pytest.approx(oracle.roc_auc_score(truth, scores), abs=1e-7)
        assert (got.positives, got.count) == (truth.sum(), truth.size)
        for interval in (got.average_precision, got.roc_auc):
            assert interval.low < interval.high and interval.low - 0.02 <= interval.value <= interval.high + 0.02
        chance = row(found, level, "", RANDOM)
        assert chance.average_precision.value == pytest.approx(truth.mean()) and chance.roc_auc.value == 0.5
    assert {r.score for r in found.rows if r.level == "sample"} == {"mean", "75th percentile", "top quarter", ""}
    assert (found.images, found.subjects, found.notes) == (9, 5, ())


def test_axial_slices_are_found_by_the_affine(tmp_path):
    """The same scans stored with the head's axis last give the same slices."""
    cohort(tmp_path, count=4)
    turned = tmp_path / "turned"
    matrix = AFFINE[:, [2, 1, 0, 3]]  # now the array's first axis runs to the right, its last one up
    for k in range(4):
        score, mask = write_case(tmp_path / "scratch", "x", k)
        for kind, values in (("maps", score), ("truth", mask)):
            path = turned / kind / f"sub-{k // 2}/scan{k}.nii.gz"
            path.parent.mkdir(parents=True, exist_ok=True)
            write_volume(path, np.ascontiguousarray(values.transpose(2, 1, 0)), matrix)
    straight = evaluate(tmp_path / "maps", tmp_path / "truth")
    other = evaluate(turned / "maps", turned / "truth")
    assert row(straight, "slice", "mean") == row(other, "slice", "mean")
    assert row(straight, "slice", "mean").count == 4 * SHAPE[0]


def test_the_seed_settles_the_intervals(tmp_path):
    cohort(tmp_path, count=6)
    first, again, other = (evaluate(tmp_path / "maps", tmp_path / "truth", seed=s) for s in (0, 0, 1))
    assert first.to_dict() == again.to_dict() != other.to_dict()
    json.dumps(first.to_dict(), allow_nan=False)


def test_more_than_twenty_samples_also_give_the_mean_over_batches(tmp_path):
    for k in range(22):
        write_case(tmp_path, f"s{k}", k, shape=(12, 13), affine=None)
    found = evaluate(tmp_path / "maps", tmp_path / "truth")
    (batched,) = [r for r in found.rows if r.score.startswith("batches")]
    whole = row(found, "pixel", "")
    assert batched.average_precision.value == pytest.approx(whole.average_precision.value, abs=0.1)
    assert batched.average_precision.draws == 10 and np.isnan(batched.roc_auc.value)
    assert not [r for r in found.rows if r.level == "slice"]


def test_trivial_and_other_maps_stand_beside(tmp_path):
    pairs = cohort(tmp_path, count=5)
    for k, (_, mask) in enumerate(pairs):
        for kind, values in (("perfect", mask.astype(np.float32)), ("images", 100.0 + (50 if k % 2 else -50) * mask)):
            path = tmp_path / kind / f"sub-{k // 2}/scan{k}.nii.gz"
            path.parent.mkdir(parents=True, exist_ok=True)
            write_volume(path, values, AFFINE)
    found = evaluate(
        tmp_path / "maps",
        tmp_path / "truth",
        baselines={"perfect": tmp_path / "perfect"},
        images=tmp_path / "images",
    )
    assert row(found, "pixel", "", "perfect").average_precision.value == 1
    # lesions are rare and bright or dark in these images, so far from the mean
    assert row(found, "pixel", "", "|z| in the image").average_precision.value == 1
    assert row(found, "pixel", "").average_precision.value < 1
    (tmp_path / "perfect/sub-0/scan1.nii.gz").unlink()
    with pytest.raises(SynthanomError, match="perfect: has no map of 'sub-0/scan1'"):
        evaluate(tmp_path / "maps", tmp_path / "truth", baselines={"perfect": tmp_path / "perfect"})
    with pytest.raises(SynthanomError, match="name of its own"):
        evaluate(tmp_path / "maps", tmp_path / "truth", baselines={"model": tmp_path / "maps"})


def labels(path, lines, header="id,label"):
    path.write_text("\n".join([header, *lines]) + "\n")
    return path


def test_labels_alone_give_images_only(tmp_path):
    values = [0.1, 0.4, 0.35, 0.8]
    for k, value in enumerate(values):
        (tmp_path / "maps").mkdir(exist_ok=True)
        write_picture(tmp_path / f"maps/x{k}.png", np.full((12, 12), value))
    table = labels(tmp_path / "l.csv", ["x0,0,p0", "x1.png,0,p0", "x2,1,p1", "x3,1,p2"], "id,label,subject")
    found = evaluate(tmp_path / "maps", labels=table)
    assert {r.level for r in found.rows} == {"sample"} and found.subjects == 3
    assert row(found, "sample", "mean").roc_auc.value == pytest.approx(0.75)
    assert row(found, "sample", "mean").average_precision.value == pytest.approx(0.8333333)


def test_missing_truth_is_never_guessed(tmp_path):
    cohort(tmp_path, count=4)
    (tmp_path / "truth/sub-0/scan0.nii.gz").unlink()
    with pytest.raises(SynthanomError, match=r"1 of 4 maps have no mask or label, first 'sub-0/scan0'"):
        evaluate(tmp_path / "maps", tmp_path / "truth")
    taken = evaluate(tmp_path / "maps", tmp_path / "truth", missing="healthy")
    assert "1 maps without mask or label are taken for healthy" in taken.notes
    listed = evaluate(tmp_path / "maps", tmp_path / "truth", labels(tmp_path / "l.csv", ["sub-0/scan0,0"]))
    assert row(listed, "pixel", "") == row(taken, "pixel", "") and listed.notes == ()
    # anomalous, but nobody drew where: counts as an image, not in pixels
    unknown = evaluate(tmp_path / "maps", tmp_path / "truth", labels(tmp_path / "l.csv", ["sub-0/scan0,1"]))
    assert row(unknown, "sample", "mean").positives == 3
    assert row(unknown, "pixel", "").count == 3 * np.prod(SHAPE)
    with pytest.raises(SynthanomError, match="needs the truth"):
        evaluate(tmp_path / "maps")


def test_truth_without_a_map_is_mentioned(tmp_path):
    cohort(tmp_path, count=4)
    (tmp_path / "maps/sub-1/scan3.nii.gz").unlink()
    found = evaluate(tmp_path / "maps", tmp_path / "truth")
    assert found.notes == ("1 images of the truth have no map and are left out, the first 'sub-1/scan3'",)


@pytest.mark.parametrize("kind", ["grey", "volume"])
def test_images_are_read_as_they_were_for_the_maps(tmp_path, kind):
    """|z| of a colour picture, and of the second volume of a 4D file, where only that shows the lesion."""
    shape = (14, 16) if kind == "grey" else SHAPE
    names = [f"a{k}" for k in range(1, 5)]
    suffix = ".png" if kind == "grey" else ".nii.gz"
    for folder in ("maps", "truth", "images"):
        (tmp_path / folder).mkdir()
    for k, name in enumerate(names):
        mask = lesion(shape, k)
        for folder, values in (("maps", np.full(shape, 0.5, np.float32)), ("truth", mask)):
            write = write_picture if kind == "grey" else write_volume
            write(
                tmp_path / folder / f"{name}{suffix}", values.astype(np.float32), *([] if kind == "grey" else [AFFINE])
            )
        shown = np.where(mask, 250, 100).astype(np.uint8)
        if kind == "grey":
            Image.fromarray(np.stack([shown, shown, 255 - shown], -1)).save(tmp_path / f"images/{name}.png")
        else:
            both = np.stack([np.random.default_rng(k).integers(1, 99, shape).astype(np.uint8), shown], -1)
            nibabel.save(nibabel.Nifti1Image(both.transpose(2, 1, 0, 3), AFFINE), tmp_path / f"images/{name}.nii.gz")
    images = tmp_path / "images"
    with pytest.raises(SynthanomError, match="--grey" if kind == "grey" else "--volume"):
        evaluate(tmp_path / "maps", tmp_path / "truth", images=images)
    prediction(tmp_path / "maps", {name: f"{name}{suffix}" for name in names}, {"grey": True, "volume": 1})
    found = evaluate(tmp_path / "maps", tmp_path / "truth", images=images)
    assert row(found, "pixel", "", "|z| in the image").average_precision.value == 1


@pytest.mark.parametrize("reading", [{"sharpen": True}, {"volume": -1}, "grey"])
def test_predictions_that_read_in_an_unknown_way_are_refused(tmp_path, reading):
    write_case(tmp_path, "a", 1)
    prediction(tmp_path / "maps", {"a": "a.nii.gz"}, reading)
    with pytest.raises(SynthanomError, match=r"predict\.json: "):
        evaluate(tmp_path / "maps", tmp_path / "truth")


def prediction(folder, maps, reading):
    """Say of maps that synthanom predict wrote them, from scans that were read so."""
    about = {"kind": "synthanom-prediction", "format": 1, "finished": True, "maps": maps}
    (folder / "predict.json").write_text(json.dumps(about | {"preprocessing": {"steps": [], "reading": reading}}))
    (folder / "scores.csv").write_text("id,score\n" + "".join(f"{name},0.5\n" for name in maps))


def test_masks_must_lie_on_the_maps_grid(tmp_path):
    write_case(tmp_path, "a", 1)
    mask = tmp_path / "truth/a.nii.gz"
    write_volume(mask, np.zeros((6, 14, 15), bool), AFFINE)
    with pytest.raises(SynthanomError, match=r"truth/a\.nii\.gz must lie on the grid.*shapes"):
        evaluate(tmp_path / "maps", tmp_path / "truth")
    shifted = AFFINE.copy()
    shifted[0, 3] = 5
    write_volume(mask, np.zeros(SHAPE, bool), shifted)
    with pytest.raises(SynthanomError, match=r"truth/a\.nii\.gz.*5 mm apart"):
        evaluate(tmp_path / "maps", tmp_path / "truth")


@pytest.mark.parametrize(
    ("lines", "header", "words"),
    [
        (["a,0"], "id,label", r"marks \d+ voxels of an image that the labels call healthy"),
        (["a,ill"], "id,label", "one label, 0 or 1"),
        (["a,0", "a,1"], "id,label", "one label, 0 or 1"),
        (["a,0"], "name,label", "columns id, label"),
    ],
)
def test_bad_labels_are_refused(tmp_path, lines, header, words):
    write_case(tmp_path, "a", 1)
    with pytest.raises(SynthanomError, match=words):
        evaluate(tmp_path / "maps", tmp_path / "truth", labels(tmp_path / "l.csv", lines, header))


def test_maps_with_nan_are_refused(tmp_path):
    score, _ = write_case(tmp_path, "a", 1)
    score[0, 0, 0] = np.nan
    write_volume(tmp_path / "maps/a.nii.gz", score, AFFINE)
    with pytest.raises(SynthanomError, match=r"maps/a\.nii\.gz: a map must have one channel of finite values"):
        evaluate(tmp_path / "maps", tmp_path / "truth")


def test_one_kind_only_is_undefined_not_perfect(tmp_path):
    for k in (1, 2):
        write_case(tmp_path, f"a{k}", k)
    found = evaluate(tmp_path / "maps", tmp_path / "truth")
    assert np.isnan(row(found, "sample", "mean").roc_auc.value)
    plain = [r for r in found.to_dict()["rows"] if r["level"] == "sample"]
    assert all(r["roc_auc"]["value"] is None for r in plain)


def test_torch_is_not_needed_to_evaluate(tmp_path):
    """Nor are its 200 MiB."""
    cohort(tmp_path, 3)
    code = (
        "import sys; from pathlib import Path; sys.modules['torch'] = None\n"
        "from synthanom.evaluation import evaluate\n"
        "print(evaluate(Path('maps'), Path('truth')).images)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert (done.stdout, done.stderr) == ("3\n", "")
