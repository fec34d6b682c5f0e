"""The example on chest radiographs: what it mixes, what it trains, how it counts; once whole, on made pictures."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from building import smooth
from PIL import Image
from sklearn.metrics import average_precision_score, roc_auc_score

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "examples"


@pytest.fixture
def example(monkeypatch):
    monkeypatch.syspath_prepend(str(EXAMPLES))
    import xray_mixed
    import xray_plan
    import xray_scores

    return xray_mixed, xray_plan, xray_scores


def written(folder, names):
    folder.mkdir(parents=True)
    for i, name in enumerate(names):
        Image.fromarray(smooth((40, 44), i + 7 * len(names)).astype(np.uint8)).save(folder / name, quality=95)


@pytest.fixture
def raw(tmp_path):
    written(tmp_path / "raw/train/NORMAL", [f"IM-{i:04}-0001.jpeg" for i in range(30)])
    written(tmp_path / "raw/test/NORMAL", [f"IM-{i:04}-0001.jpeg" for i in range(100, 108)])
    written(tmp_path / "raw/test/PNEUMONIA", [f"person{i // 2}_virus_{i}.jpeg" for i in range(16)])
    return tmp_path / "raw"


def cases(raw):
    from synthanom_builders.zhanglab import list_known

    from synthanom.truth_set import TruthCase
    from synthanom.volumes import Source

    found = []
    for known in list_known(raw, raw / "out", None).cases:
        path = raw / known.case.path
        source = Source(id=known.case.id, files=(path,), format="picture")
        found.append(
            TruthCase(id=known.case.id, subject=known.case.subject, images=(source,), anomalous=known.anomalous)
        )
    return found


def test_mixed_training_sets_have_one_size_and_nest(example, raw, tmp_path):
    mixed, _, _ = example
    known = cases(raw)
    names = {}
    for share in mixed.SHARES:
        mixed.mix(raw, known, share, tmp_path / str(share))
        names[share] = {path.name for path in (tmp_path / str(share) / "train/NORMAL").iterdir()}
    assert {len(found) for found in names.values()} == {20}, "eight diseased images are 40 % of 20"
    sick = {share: {name for name in found if name.startswith("person")} for share, found in names.items()}
    assert [len(sick[share]) for share in mixed.SHARES] == [0, 1, 2, 4, 8]
    assert sick[5] < sick[10] < sick[20] < sick[40]
    taken = mixed.mixed_in(known)
    assert len(taken) == 4 and {name.split("_")[0] for name in sick[40]} == taken
    left = {case.subject for case in known if case.anomalous} - taken
    assert len(left) == 4, "the other patients are judged on"


def test_every_run_of_the_protocol_is_trained_once_a_seed(example, tmp_path):
    _, plan, _ = example
    whole = plan.Plan(out=tmp_path, config=ROOT / "configs/chest_xray_small.yaml", side=64, epochs=6, seeds=3, jobs=1)
    lines = list(whole.trainings())
    assert len(lines) == len(set(lines))
    assert all(words[0] == "synthanom-train" and "--seed" in words for words in lines)
    runs = [words for words in lines if "--all" in words]
    assert sorted((w[w.index("--seed") + 1], w[w.index("--train-tasks") + 1]) for w in runs) == [
        (str(seed), str(tasks)) for seed in range(3) for tasks in (1, 2, 3, 4)
    ]
    assert sum(map(len, (whole.ensemble(tasks=t, seed=0) for t in (1, 2, 3, 4)))) == 30
    # one autoencoder, two augmentations and five mixed sets of two detectors a seed
    assert len(lines) - len(runs) == 3 * (1 + 2 + 5 * 2)


def test_settings_of_augmentations_replace_those_of_the_run(example, tmp_path):
    from synthanom.training.config import load_config

    _, plan, _ = example
    whole = plan.Plan(out=tmp_path, config=ROOT / "configs/chest_xray_small.yaml", side=64, epochs=6, seeds=1, jobs=1)
    list(whole.trainings())
    base = load_config(whole.config, (64, 64))
    flipped, thick = (load_config(tmp_path / f"ablations/{name}.yaml", (64, 64)) for name in ("left-right", "thick"))
    assert flipped == base.model_copy(update={"flip": 0.5}) and base.flip == 0
    assert thick == base.model_copy(update={"anisotropy": 0.5}) and base.anisotropy == 0


def test_figures_are_those_of_scikit_learn(example):
    _, _, scores = example
    rng = np.random.default_rng(3)
    truth = rng.random(60) < 0.5
    many = [rng.normal(size=60) + truth for _ in range(3)]
    test = scores.TestImages(
        images=np.zeros((60, 1, 4, 4), np.float32), foregrounds=np.ones((60, 4, 4), bool), anomalous=truth,
        patients=tuple(f"p{i // 2}" for i in range(60)),
    )  # fmt: skip
    for metric, known in (("auroc", roc_auc_score), ("ap", average_precision_score)):
        found = scores.figure(metric, many, test)
        np.testing.assert_allclose(found.values, [known(truth, one) for one in many])
        assert abs(found.draws.mean() - found.values.mean()) < 0.03 and 0.01 < found.draws.std() < 0.1
    kept = test.without({"p0", "p7"})
    assert kept.sum() == 56 and not kept[[0, 1, 14, 15]].any()
    np.testing.assert_allclose(
        scores.figure("auroc", many[:1], test, kept).values, [roc_auc_score(truth[kept], many[0][kept])]
    )


@pytest.mark.slow
def test_the_whole_example_and_its_scores_are_those_of_the_command(example, raw, tmp_path):
    _, _, scores = example
    out = tmp_path / "out"
    words = [str(raw), "--out", str(out), "--side", "16", "--epochs", "1", "--seeds", "1"]
    run = subprocess.run(
        [sys.executable, str(EXAMPLES / "chest_xray.py"), *words], capture_output=True, text=True, timeout=1800
    )
    assert run.returncode == 0, run.stdout + run.stderr
    page = (out / "results.md").read_text()
    assert page.count("\n| T = ") == 8 + 1, "single models and ensembles, and the head of the augmentations"
    assert "| 40 % |" in page and "thick slices" in page
    assert (out / "evaluation").is_dir()
    runs = sorted((out / "runs/seed-0").glob("tasks-4-run-*"))
    test = scores.read_test_images(out / "test", runs[0])
    together, _ = scores.score_runs(runs, test)
    lines = (out / "maps/scores.csv").read_text().splitlines()[1:]
    told = [float(line.split(",")[1]) for line in lines]
    np.testing.assert_allclose(together.chosen, told, atol=1e-5)
