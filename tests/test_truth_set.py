"""From a list of scans with known truth to maps and figures: the same as from folders of scans and masks."""

import csv
import json

import numpy as np
import pytest
from brains import affine, brain, lesion, reversed_y, save
from building import build
from saved_models import SHOWS_INPUT, write_model
from test_build_named import write_vindr_test
from test_predicting import xray

from synthanom.description import describe
from synthanom.errors import SynthanomError
from synthanom.evaluation import evaluate
from synthanom.predicting import predict
from synthanom.preprocess import Canonical, MinusOneOne, Pipeline
from synthanom.truth_set import TruthCase, TruthSet, read_truth_set, write_truth_set
from synthanom.volumes import Source, discover, read, write_picture


def pictures(root, count=8):
    """Scans with masks for the first half; one more of which only the label is known."""
    sources, masks = {}, {}
    for k in range(count + 1):
        xray(root / f"raw/scans/p{k}.png", seed=k)
    for k in range(count // 2):
        mask = np.zeros((20, 26), bool)
        mask[4 : 8 + k, 5:12] = True
        (root / "raw/masks").mkdir(exist_ok=True)
        write_picture(root / f"raw/masks/p{k}.png", mask)
    sources = {source.id: source for source in discover(root / "raw/scans")}
    masks = {source.id: source for source in discover(root / "raw/masks")}
    cases = [
        TruthCase(
            id=name,
            subject=f"s{k // 2}",
            images=(source,),
            anomalous=k < count // 2 or k == count,
            kind="hole" if name in masks else "",
            mask=masks.get(name),
            columns={"confidence": "0.5"} if name in masks else {},
        )
        for k, (name, source) in enumerate(sources.items())
    ]
    return TruthSet(data_set="mine", raw=root / "raw", contrasts=(), cases=tuple(cases))


def test_a_list_comes_back_as_it_was_written(tmp_path):
    truth = pictures(tmp_path)
    (tmp_path / "truth").mkdir()
    write_truth_set(tmp_path / "truth", truth)
    assert read_truth_set(tmp_path / "truth") == truth
    with (tmp_path / "truth/truth.csv").open(newline="") as file:
        table = list(csv.DictReader(file))
    assert table[0] == {"id": "p0", "label": "1", "subject": "s0", "kind": "hole", "confidence": "0.5"}
    assert table[4] == {"id": "p4", "label": "0", "subject": "s2", "kind": "", "confidence": ""}
    elsewhere = Source(id="x", files=(tmp_path / "x.png",), format="picture")
    case = TruthCase(id="x", subject="x", images=(elsewhere,), anomalous=False)
    with pytest.raises(SynthanomError, match="must lie under"):
        write_truth_set(tmp_path / "truth", TruthSet(data_set="", raw=tmp_path / "raw", contrasts=(), cases=(case,)))
    assert read_truth_set(tmp_path / "truth") == truth


def test_figures_are_those_of_folders(tmp_path):
    truth, folder = pictures(tmp_path), tmp_path / "truth"
    folder.mkdir()
    write_truth_set(folder, truth)
    model = write_model(tmp_path / "m", pipeline=Pipeline((MinusOneOne(),)), network=SHOWS_INPUT)
    done = predict([model], folder, tmp_path / "maps", device="cpu", allow_import=True)
    assert list(done.scores) == [f"p{k}" for k in range(9)]
    plain = predict([model], tmp_path / "raw/scans", tmp_path / "plain", device="cpu", allow_import=True)
    assert plain.scores == done.scores
    found = evaluate(tmp_path / "maps", folder)
    labels = tmp_path / "labels.csv"
    labels.write_text("id,label,subject\n" + "".join(f"{c.id},{int(c.anomalous)},{c.subject}\n" for c in truth.cases))
    expected = evaluate(tmp_path / "plain", tmp_path / "raw/masks", labels)
    assert found == expected and found.images == 9 and found.subjects == 5
    assert {row.positives for row in found.rows if row.level == "sample"} == {5}
    with pytest.raises(SynthanomError, match="leave --labels out"):
        evaluate(tmp_path / "maps", folder, labels)
    (tmp_path / "maps/p8.png").rename(tmp_path / "maps/q.png")
    about = json.loads((tmp_path / "maps/predict.json").read_text())
    about["maps"]["q"] = about["maps"].pop("p8").replace("p8", "q")
    (tmp_path / "maps/predict.json").write_text(json.dumps(about))
    with pytest.raises(SynthanomError, match="1 of 9 maps are of scans that the test set does not have"):
        evaluate(tmp_path / "maps", folder)


def test_some_maps_may_be_missing_and_it_is_said(tmp_path):
    truth, folder = pictures(tmp_path), tmp_path / "truth"
    folder.mkdir()
    write_truth_set(folder, truth)
    (tmp_path / "raw/scans/p3.png").write_bytes(b"\x89PNG\r\n\x1a\nbroken")
    model = write_model(tmp_path / "m", pipeline=Pipeline((MinusOneOne(),)), network=SHOWS_INPUT)
    done = predict([model], folder, tmp_path / "maps", device="cpu", allow_import=True)
    assert len(done.scores) == 8 and [path for path, _ in done.skipped] == [str(tmp_path / "raw/scans/p3.png")]
    found = evaluate(tmp_path / "maps", folder)
    assert found.notes == ("1 scans of the test set have no map and are left out, the first 'p3'",)


@pytest.mark.parametrize("names", [("T1", "T2"), ("t2", "T1"), ()])
def test_contrasts_come_in_the_models_order(tmp_path, names):
    """The network shows its first channel."""
    folder, files = tmp_path / "truth", []
    for k in range(2):
        files.append(xray(tmp_path / f"raw/{k}.png", seed=k))
    sources = tuple(Source(id=str(k), files=(file,), format="picture") for k, file in enumerate(files))
    case = TruthCase(id="a", subject="a", images=sources, anomalous=None)
    folder.mkdir()
    write_truth_set(
        folder, TruthSet(data_set="mine", raw=tmp_path / "raw", contrasts=names and ("T1", "T2"), cases=(case,))
    )
    pipeline = Pipeline((MinusOneOne(),))
    kept = {"preprocessing": pipeline.to_dict() | ({"channels": {"contrasts": list(names)}} if names else {})}
    model = write_model(tmp_path / "m", pipeline=pipeline, channels=2, network=SHOWS_INPUT, **kept)
    predict([model], folder, tmp_path / "maps", device="cpu", allow_import=True)
    values = read(files[1 if names[:1] == ("t2",) else 0]).image[0]
    expected = np.clip(2 * (values - values.min()) / np.ptp(values) - 1, 0, 1)
    assert np.abs(read(tmp_path / "maps/a.png").image[0] / 65535 - expected).max() < 2e-5
    for option in ({"channels": "(a)"}, {"within": "*_lobe.png"}):
        with pytest.raises(SynthanomError, match=r"leave --channels and --foreground out.*a table of boxes"):
            predict([model], folder, tmp_path / "other", device="cpu", allow_import=True, **option)
    if names:
        other = {"preprocessing": pipeline.to_dict() | {"channels": {"contrasts": ["T1", "FLAIR"]}}}
        model = write_model(tmp_path / "n", pipeline=pipeline, channels=2, network=SHOWS_INPUT, **other)
        with pytest.raises(SynthanomError, match="must have the model's contrasts T1, FLAIR"):
            predict([model], folder, tmp_path / "other", device="cpu", allow_import=True)


def test_a_model_of_named_contrasts_asks_for_a_pattern_on_plain_folders(tmp_path):
    xray(tmp_path / "raw/a_T1.png")
    xray(tmp_path / "raw/a_T2.png", seed=1)
    pipeline = Pipeline((MinusOneOne(),))
    kept = {"preprocessing": pipeline.to_dict() | {"channels": {"contrasts": ["T1", "T2"]}}}
    model = write_model(tmp_path / "m", pipeline=pipeline, channels=2, network=SHOWS_INPUT, **kept)
    with pytest.raises(SynthanomError, match="--channels"):
        predict([model], tmp_path / "raw", tmp_path / "maps", device="cpu", allow_import=True)
    done = predict([model], tmp_path / "raw", tmp_path / "maps", channels="_(T1|T2)", device="cpu", allow_import=True)
    assert list(done.scores) == ["a"]


def test_from_the_raw_data_of_vindr_to_figures(tmp_path):
    raw, truth = write_vindr_test(tmp_path / "raw"), tmp_path / "truth"
    assert build(raw, "--test", "--out", truth, "--workers", 1, command="vindr-cxr").status == 0
    pipeline = Pipeline((MinusOneOne(),))
    model = write_model(tmp_path / "m", pipeline=pipeline, shape=(60, 52), network=SHOWS_INPUT)
    done = predict([model], truth, tmp_path / "maps", device="cpu", allow_import=True)
    assert list(done.scores) == ["test/a", "test/b", "test/c"] and done.skipped == ()
    pixel = [row for row in evaluate(tmp_path / "maps", truth).rows if row.level == "pixel" and row.maps == "model"]
    assert pixel[0].count == 3 * 60 * 52 and pixel[0].positives == 18 * 17 + 4 + 5 * 7


def test_a_tumour_is_found_where_it_lies_on_a_reversed_grid(tmp_path):
    """A map that is the truth scores 1 on grids whatever their orientation."""
    values = brain(0)
    tumour = lesion(values)
    bright = np.where(tumour > 0, 5000, values).astype(np.int16)
    stem = "BraTS2021_00000"
    for name, array in (("t2", bright), ("seg", tumour)):
        save(tmp_path / "raw" / stem / f"{stem}_{name}.nii.gz", *reversed_y(array, affine()))
    assert build(tmp_path / "raw", "--test", "--out", tmp_path / "truth", command="brats").status == 0
    model = write_model(
        tmp_path / "m",
        pipeline=Pipeline((Canonical(), MinusOneOne())),
        shape=values.T.shape,
        network=SHOWS_INPUT,
    )
    predict([model], tmp_path / "truth", tmp_path / "maps", device="cpu", allow_import=True)
    found = evaluate(tmp_path / "maps", tmp_path / "truth")
    (pixel,) = [row for row in found.rows if (row.level, row.maps) == ("pixel", "model")]
    assert pixel.average_precision.value == 1 and pixel.positives == np.count_nonzero(tumour)


def test_leaks_into_scans_to_test_on_are_found(tmp_path):
    """Training on scans 0 to 7; tested on others, on a copy of scan 2, on a subject of training, on a broken file."""
    for k in range(8):
        xray(tmp_path / f"raw/p{k}.png", (40, 44), seed=k)
    data, raw, folder = tmp_path / "data", tmp_path / "test", tmp_path / "truth"
    quick = ("--variants", 1, "--tasks", "sink", "--workers", 1)
    assert build(tmp_path / "raw", "--out", data, *quick).status == 0
    folder.mkdir()
    for k in range(20, 25):
        xray(raw / f"t{k}.png", (40, 44), seed=k)
    copy = read(tmp_path / "raw/p2.png").image[0]
    write_picture(raw / "copy.png", np.clip(copy / 255 * 0.9 + 0.02, 0, 1))
    (raw / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nbroken")
    subjects = {"t21": "p3"}
    cases = [TruthCase(id=s.id, subject=subjects.get(s.id, s.id), images=(s,), anomalous=False) for s in discover(raw)]
    write_truth_set(folder, TruthSet(data_set="mine", raw=raw, contrasts=(), cases=tuple(cases)))
    found = describe(data, [folder])
    assert [(leak.kind, leak.first.id or leak.first.subject, leak.second.id) for leak in found.leaks] == [
        ("subject-in-both", "p3", None),
        ("near-identical-images", "p2", "copy"),
    ]
    (note,) = found.notes
    assert "1 scans could not be compared, the first broken: " in note
    assert [leak.kind for leak in describe(data, [folder], quick=True).leaks] == ["subject-in-both"]
    stacked = [TruthCase(id=c.id, subject=c.id, images=c.images * 2, anomalous=False) for c in cases]
    write_truth_set(folder, TruthSet(data_set="mine", raw=raw, contrasts=(), cases=tuple(stacked)))
    found = describe(data, [folder])
    assert found.leaks == () and "has 2 axes and 2 channels, not 2 and 1" in found.notes[0]


def test_a_prediction_names_maps_of_its_own_folder_only(tmp_path):
    truth, folder = pictures(tmp_path), tmp_path / "truth"
    folder.mkdir()
    write_truth_set(folder, truth)
    model = write_model(tmp_path / "m", pipeline=Pipeline((MinusOneOne(),)), network=SHOWS_INPUT)
    predict([model], folder, tmp_path / "maps", device="cpu", allow_import=True)
    about = json.loads((tmp_path / "maps/predict.json").read_text())
    about["maps"]["p0"] = "../raw/scans/p0.png"
    (tmp_path / "maps/predict.json").write_text(json.dumps(about))
    with pytest.raises(SynthanomError, match="must name maps in it only"):
        evaluate(tmp_path / "maps", folder)


def test_the_trivial_map_is_made_of_the_listed_scans(tmp_path):
    """Beside masks that lie in the same folder, and of the mean over contrasts."""
    truth, folder = pictures(tmp_path), tmp_path / "truth"
    folder.mkdir()
    write_truth_set(folder, truth)
    model = write_model(tmp_path / "m", pipeline=Pipeline((MinusOneOne(),)), network=SHOWS_INPUT)
    predict([model], folder, tmp_path / "maps", device="cpu", allow_import=True)
    found = evaluate(tmp_path / "maps", folder, images=folder)
    expected = evaluate(tmp_path / "maps", folder, images=tmp_path / "raw/scans")
    assert found == expected and any(row.maps == "|z| in the image" for row in found.rows)


def test_raw_data_that_moved_are_told_at_once(tmp_path):
    truth, folder = pictures(tmp_path), tmp_path / "truth"
    folder.mkdir()
    write_truth_set(folder, truth)
    model = write_model(tmp_path / "m", pipeline=Pipeline((MinusOneOne(),)), network=SHOWS_INPUT)
    predict([model], folder, tmp_path / "maps", device="cpu", allow_import=True)
    (tmp_path / "raw").rename(tmp_path / "elsewhere")
    for call in (
        lambda: predict([model], folder, tmp_path / "new", device="cpu", allow_import=True),
        lambda: evaluate(tmp_path / "maps", folder),
    ):
        with pytest.raises(SynthanomError, match=r"the raw data must lie in .*raw, and are not there; move them back"):
            call()
    assert not (tmp_path / "new").exists() and read_truth_set(folder) == truth
