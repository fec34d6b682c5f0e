"""The command `synthanom`, through its real entry: statuses, one line for bad input, nothing overwritten."""

import json
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from phantoms import phantom
from real_data import write_real
from saved_models import write_model

from synthanom.pictures import is_our_picture
from synthanom.preprocess import default_pipeline
from synthanom.shards import DataSet
from synthanom.volumes import read, write_picture, write_volume

COMMANDS = (
    "preview",
    "check",
    "replay",
    "predict",
    "evaluate",
    "tables",
    "describe",
    "merge",
    "export",
    "export-model",
    "report",
)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return write_real(tmp_path_factory.mktemp("set") / "data")


@pytest.fixture(scope="module")
def volumes(tmp_path_factory):
    """A data set of volumes of two channels."""
    return write_real(
        tmp_path_factory.mktemp("set") / "volumes", shape=(14, 16, 18), channels=2, subjects=2, variants=1
    )


def picture(path, seed=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    values = phantom((30, 36), seed=seed).image[0]
    write_picture(path, (values - values.min()) / np.ptp(values))
    return path


def refused(outcome, *words):
    status, out, err = outcome
    assert status == 2 and out == "" and "Traceback" not in err
    lines = err.strip().splitlines()
    assert len(lines) == 1 and lines[0].startswith("error: "), err
    for word in words:
        assert word in lines[0], lines[0]


def test_help_is_light_and_lists_what_there_is():
    code = (
        "import sys\nfrom synthanom.cli import main\ntry:\n    main()\n"
        "except SystemExit as leave:\n    heavy = {'torch', 'numpy', 'h5py', 'matplotlib', 'scipy', 'nibabel'}\n"
        "    print(leave.code, sorted(heavy & set(sys.modules)))"
    )
    for command in ("", "predict", "describe"):
        words = [w for w in (command, "--help") if w]
        out = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, timeout=60)
        assert out.stdout.splitlines()[-1] == "0 []", out.stdout + out.stderr
        if not command:
            assert all(name in out.stdout for name in COMMANDS)


def test_without_a_command_help_is_shown(run):
    status, out, err = run()
    assert status == 2 and "Commands" in out and err == ""
    assert run("--version")[:2] == (0, "synthanom 0.1.0\n")
    refused(run("polish"), "polish")


def test_preview_of_a_scan_and_of_a_data_set(run, dataset, tmp_path):
    scan = picture(tmp_path / "scan.png")
    out = tmp_path / "seen.png"
    status, text, _ = run("preview", scan, "--out", out, "--tasks", "sink,smooth_intensity")
    assert status == 0 and "2 tasks" in text and is_our_picture(out.read_bytes()[:256])
    before = out.read_bytes()
    status, text, _ = run("preview", dataset, "--out", out, "--tasks", "sink")  # over a picture of ours
    assert status == 0 and out.read_bytes() != before and out.stat().st_size < 300_000


def test_preview_refuses(run, dataset, tmp_path):
    scan = picture(tmp_path / "scan.png")
    kept = scan.read_bytes()
    refused(run("preview", scan, "--out", scan), "is the input")
    refused(run("preview", dataset, "--out", scan), "did not draw")
    assert scan.read_bytes() == kept
    refused(run("preview", scan, "--out", tmp_path / "p.jpg"), "end --out in .png")
    refused(run("preview", tmp_path / "none.nii", "--out", tmp_path / "p.png"), "none.nii", "does not exist")
    refused(run("preview", scan, "--out", tmp_path / "p.png", "--normalise", "none"), "scan.png", "normalise first")
    refused(run("preview", dataset, "--out", tmp_path / "p.png", "--normalise", "zscore"), "leave --normalise out")
    refused(run("preview", scan, "--out", tmp_path / "p.png", "--tasks", "swirl"), "swirl")
    write_picture(tmp_path / "flat.png", np.full((20, 20), 0.5))
    refused(run("preview", tmp_path / "flat.png", "--out", tmp_path / "p.png"), "flat.png", "constant")
    nib.save(nib.Nifti1Image(np.zeros((9, 9, 9, 3), np.float32), np.eye(4)), tmp_path / "four.nii")
    refused(run("preview", tmp_path / "four.nii", "--out", tmp_path / "p.png"), "four.nii")
    (tmp_path / "half").mkdir()
    (tmp_path / "half/plan.json").write_text("{}")
    refused(run("preview", tmp_path / "half", "--out", tmp_path / "p.png"), "unfinished: run the same command again")
    assert not (tmp_path / "p.png").exists()


def test_debug_shows_the_traceback(run, tmp_path):
    status, _, err = run("preview", tmp_path / "none.nii", "--out", tmp_path / "p.png", "--debug")
    assert status == 2 and "Traceback" in err


def test_check_finds_a_flipped_byte(run, dataset, tmp_path):
    status, out, _ = run("check", dataset)
    assert (status, out) == (0, "fine: 4 files, 20 rows\n")
    copy = tmp_path / "copy"
    for file in dataset.rglob("*"):
        if file.is_file():
            target = copy / file.relative_to(dataset)
            target.parent.mkdir(parents=True, exist_ok=True)
            content = bytearray(file.read_bytes())
            if file.parent.name == "sink":
                content[len(content) // 2] ^= 1
            target.write_bytes(content)
    status, out, err = run("check", copy)
    assert status == 2 and err == "" and "sink/00000.h5" in out
    refused(run("check", dataset, "--donors", dataset), "--replay")
    status, out, _ = run("check", tmp_path / "nowhere")
    assert status == 2 and "nowhere" in out


def test_check_replays_and_says_what_was_demanded(run, dataset, monkeypatch):
    status, out, _ = run("check", dataset, "--replay")
    assert status == 0 and "16 rows replayed, equality (same fingerprint) demanded, largest difference 0" in out
    from synthanom.cli import checking
    from synthanom.replaying import ReplayReport

    report = ReplayReport(rows=3, problems=("sink row 1: differs",), same_fingerprint=False, largest_difference=0.5)
    monkeypatch.setattr(checking, "check_replay", lambda folder, donors=None, track=None: report)
    status, out, _ = run("check", dataset, "--replay")
    assert status == 2 and "sink row 1: differs" in out
    assert "1 of 3 rows replayed, agreement within 1e-4 of the range demanded, largest difference 0.5" in out


def test_replay_writes_the_stored_picture_and_its_label(run, dataset, volumes, tmp_path):
    with DataSet.open(dataset) as data:
        stored = data.anomaly("sink", 1)
        limits = data.healthy(stored.healthy_index).limits[:, 0]
    status, out, _ = run("replay", dataset, "sink", 1, "--out", tmp_path / "a.nii.gz")
    assert status == 0 and out.split() == [str(tmp_path / "a.nii.gz"), str(tmp_path / "a_label.nii.gz")]
    assert np.array_equal(read(tmp_path / "a.nii.gz").image, stored.image)
    assert np.array_equal(read(tmp_path / "a_label.nii.gz").image[0], stored.label)
    assert run("replay", dataset, "sink", 1, "--out", tmp_path / "p.png")[0] == 0
    grey = np.rint(255 * np.clip((stored.image - limits[0]) / np.ptp(limits), 0, 1))
    assert np.abs(read(tmp_path / "p.png").image - grey).max() <= 1
    assert run("replay", volumes, "sink", 0, "--out", tmp_path / "v.nii")[0] == 0
    with DataSet.open(volumes) as data:
        stored = data.anomaly("sink", 0)
        affine = data.healthy(stored.healthy_index).affine
    for channel in (0, 1):
        found = read(tmp_path / f"v_channel{channel}.nii")
        assert np.array_equal(found.image[0], stored.image[channel]) and np.allclose(found.affine, affine)
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(
        ["a.nii.gz", "a_label.nii.gz", "p.png", "p_label.png", "v_channel0.nii", "v_channel1.nii", "v_label.nii"]
    )


def test_replay_refuses(run, dataset, volumes, tmp_path):
    out = tmp_path / "a.nii.gz"
    assert run("replay", dataset, "sink", 0, "--out", out)[0] == run("replay", dataset, "sink", 0, "--out", out)[0] == 0
    kept = out.read_bytes()
    refused(run("replay", dataset, "sink", 1, "--out", out), "a.nii.gz", "holds something else")
    assert out.read_bytes() == kept
    refused(run("replay", dataset, "sink", 99, "--out", tmp_path / "b.nii"), "under 8, got 99")
    refused(run("replay", dataset, "source", 0, "--out", tmp_path / "b.nii"), "source")
    refused(run("replay", dataset, "sink", 0, "--out", tmp_path / "b.tiff"), ".nii.gz, .nii or .png")
    refused(run("replay", volumes, "sink", 0, "--out", tmp_path / "b.png"), "end --out in .nii.gz")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.nii.gz", "a_label.nii.gz"]


def test_a_recipe_from_a_file_is_replayed_like_its_row(run, dataset, tmp_path):
    with DataSet.open(dataset) as data:
        recipe = data.anomaly("sink", 1).recipe
    (tmp_path / "r.json").write_bytes(recipe)
    for name, given in (("row", ("sink", 1)), ("file", ("--recipe", tmp_path / "r.json"))):
        assert run("replay", dataset, *given, "--out", tmp_path / f"{name}.nii.gz")[0] == 0
    for end in (".nii.gz", "_label.nii.gz"):
        assert (tmp_path / f"row{end}").read_bytes() == (tmp_path / f"file{end}").read_bytes()
    out, content = ("--out", tmp_path / "b.nii.gz"), json.loads(recipe)
    for name, value, words in (
        ("id", "case-99", ("'case-99'", "name the data set")),
        ("sha256", "0" * 64, ("with digest 000000000000",)),
    ):
        other = {**content, "sample": {**content["sample"], name: value}}
        (tmp_path / "o.json").write_text(json.dumps(other))
        refused(run("replay", dataset, "--recipe", tmp_path / "o.json", *out), *words)
    (tmp_path / "o.json").write_text("[]")
    refused(run("replay", dataset, "--recipe", tmp_path / "o.json", *out), "o.json: must be a file with one recipe")
    refused(run("replay", dataset, "--recipe", tmp_path, *out), "must be a file with one recipe")
    for given in ((), ("sink",), ("sink", 1, "--recipe", tmp_path / "r.json")):
        refused(run("replay", dataset, *given, *out), "a task and a row, or --recipe FILE")
    assert not (tmp_path / "b.nii.gz").exists()


def test_predict_then_evaluate(run, tmp_path):
    model = write_model(tmp_path / "model", pipeline=default_pipeline("picture", (16, 16)))
    for k in range(4):
        picture(tmp_path / f"raw/x{k}.png", seed=k)
        mask = np.zeros((30, 36))
        mask[5:9, 5:9] = k % 2
        (tmp_path / "masks").mkdir(exist_ok=True)
        write_picture(tmp_path / f"masks/x{k}.png", mask)
    maps = tmp_path / "maps"
    status, out, err = run("predict", model, "--input", tmp_path / "raw", "--out", maps, "--device", "cpu")
    assert (status, out, err) == (0, f"{maps}: 4 maps, 0 scans skipped\n", "")
    status, out, err = run(
        "evaluate", maps, "--truth", tmp_path / "masks", "--baseline", f"again={maps}", "--images", tmp_path / "raw",
        "--out", tmp_path / "e.json",
    )  # fmt: skip
    assert status == 0 and err == ""
    for word in ("as the model aggregates", "again", "|z| in the image", "random or constant", "2 of 4", "32 of 4320"):
        assert word in out
    saved = json.loads((tmp_path / "e.json").read_text())
    pixel = {r["maps"]: r["average_precision"]["value"] for r in saved["rows"] if r["level"] == "pixel"}
    assert pixel["model"] == pixel["again"] and pixel["random or constant"] == pytest.approx(32 / 4320)
    assert run("evaluate", maps, "--truth", tmp_path / "masks", "--out", tmp_path / "e.json")[0] == 0  # its own file
    (tmp_path / "raw/broken.png").write_text("not a picture")
    status, out, err = run("predict", model, "--input", tmp_path / "raw", "--out", maps, "--device", "cpu")
    assert status == 3 and "4 maps, 1 scans skipped" in out and "broken.png" in err and "Traceback" not in err


def test_predict_says_which_scans_have_no_mask(run, tmp_path):
    steps = default_pipeline("picture", (16, 16))
    model = write_model(tmp_path / "m", preprocessing=steps.to_dict() | {"masks": {"pattern": "*_mask.png"}})
    for k in range(2):
        picture(tmp_path / f"raw/x{k}.png", seed=k)
    write_picture(tmp_path / "raw/x1_mask.png", np.ones((30, 36)))
    command = ("predict", model, "--input", tmp_path / "raw", "--device", "cpu")
    status, out, err = run(*command, "--out", tmp_path / "maps")
    assert status == 0 and "2 maps, 0 scans skipped" in out
    assert err == "no mask '*_mask.png' for 1 of 2 scans, the first x0: their foreground follows the rule none\n"
    status, out, err = run(*command, "--out", tmp_path / "plain", "--foreground", "none")
    assert status == 0 and "2 maps, 0 scans skipped" in out and err == ""
    refused(run(*command, "--out", tmp_path / "other", "--foreground", "*_brain.png"), "--foreground '*_brain.png'")


def test_predict_and_evaluate_refuse(run, tmp_path):
    model = write_model(tmp_path / "model")
    scan = picture(tmp_path / "raw/x.png")
    maps = tmp_path / "maps"
    refused(run("predict", tmp_path / "raw", "--input", scan, "--out", maps), "raw", "model.safetensors")
    refused(run("predict", model, "--input", tmp_path / "gone", "--out", maps), "gone")
    empty = tmp_path / "empty"
    empty.mkdir()
    refused(run("predict", model, "--input", empty, "--out", maps), "empty")
    refused(run("predict", model, "--input", scan, "--out", tmp_path / "raw"), "raw", "something else")
    assert not maps.exists()
    assert run("predict", model, "--input", scan, "--out", maps, "--device", "cpu")[0] == 0
    refused(run("evaluate", maps), "--truth")
    refused(run("evaluate", maps, "--truth", tmp_path / "gone"), "gone")
    refused(run("evaluate", empty, "--truth", empty), "empty")
    refused(run("evaluate", maps, "--truth", tmp_path / "raw", "--baseline", "maps"), "NAME=FOLDER")
    write_volume(tmp_path / "masks.nii", np.zeros((3, 3), bool))
    refused(run("evaluate", maps, "--truth", tmp_path / "raw", "--out", tmp_path / "masks.nii"), "something else")
    about = json.loads((maps / "predict.json").read_text())
    (maps / "predict.json").write_text(json.dumps(about | {"finished": False}))
    refused(run("evaluate", maps, "--truth", tmp_path / "raw"), "unfinished; run the same synthanom predict")
    (maps / "predict.json").write_text(json.dumps(about | {"format": 2}))
    refused(run("evaluate", maps, "--truth", tmp_path / "raw"), "upgrade")


def test_describe(run, dataset, tmp_path):
    status, out, _ = run("describe", dataset)
    lines = dict(line.split("  ", 1) for line in out.split("\n\n")[0].splitlines())
    assert status == 0 and lines["images"].strip() == "4 healthy, 4 subjects"
    assert lines["shape"].strip() == "24 x 28, 1 channel" and lines["task sink"].strip() == "8 rows"
    refused(run("describe", tmp_path), "dataset.json")


def test_installed_entry_refuses_in_one_line(tmp_path):
    command = [str(Path(sys.executable).with_name("synthanom")), "check", str(tmp_path / "none"), "--replay"]
    if not Path(command[0]).is_file():
        pytest.skip("the package is not installed with its commands here")
    out = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert out.returncode == 2 and len(out.stdout.splitlines() + out.stderr.splitlines()) == 1
