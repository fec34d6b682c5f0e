"""The benchmark beside OpenCV: the same patches at the same places; without OpenCV one line that says how to get it."""

import importlib
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from synthanom.labels import Logistic
from synthanom.synthesis import synthesise
from synthanom.tasks import TASKS, Nsa

FOLDER = Path(__file__).parents[1] / "benchmarks"
SCRIPT = FOLDER / "seamless_clone.py"
MODULES = ("baseline", "cases", "machine", "pages", "steps", "synthesis", "seamless_clone")


@pytest.fixture(scope="module")
def bench():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(FOLDER))
        yield importlib.import_module("seamless_clone")
        for name in MODULES:
            sys.modules.pop(name, None)


def test_the_pipeline_is_told_the_patch_and_the_place_of_the_recipe(bench):
    (case,) = bench.QUICK_PICTURES
    pair = bench.pictures(case)
    for seed in range(8):
        result = synthesise(
            pair.sample, Nsa(mixed=False), Logistic(), rng=np.random.default_rng(seed), donors=pair.donors
        )
        for anomaly in result.recipe.anomalies:
            source, landed = bench.boxes(anomaly)
            size = tuple(place.stop - place.start for place in source)
            assert size == tuple(anomaly.region.geometry.size)
            assert all(place.start >= 0 and place.stop <= n for place, n in zip(source, case.shape, strict=True))
            # the first and the last voxel of the patch lie where the recipe samples the donor
            corner, params = np.array(anomaly.region.corner), anomaly.params
            for here, there in (("start", 0), ("stop", -1)):
                place = np.array([getattr(p, here) + there for p in landed]) - corner
                sampled = np.array(params.matrix) @ place + np.array(params.offset)
                wanted = np.array([getattr(p, here) + there for p in source])
                assert np.abs(sampled - wanted).max() <= np.diag(np.array(params.matrix)).max()


def test_grey_values_are_those_of_the_pictures(bench):
    pair = bench.pictures(bench.QUICK_PICTURES[0])
    for one in (pair.sample, *pair.donors):
        back = pair.eight_bit[one.id][..., 0] * pair.scale + pair.darkest
        assert np.abs(back - one.image[0]).max() <= pair.scale / 2 * 1.001


def test_every_task_has_a_rate(bench):
    rows = bench.all_tasks(bench.QUICK_VOLUME)
    assert [row["task"] for row in rows] == list(TASKS) and all(row["per_second"] > 0 for row in rows)
    text = bench.page(
        {"date": "d", "cpu": "c", "opencv": "o", "load": 1.0, "load_end": 2.0}, [], rows, bench.QUICK_VOLUME
    )
    assert all(f"| {task} | " in text for task in TASKS)


def test_without_opencv_one_line_says_how_to_get_it():
    code = (
        "import runpy, sys; sys.modules['cv2'] = None; sys.argv = ['seamless_clone.py', '--quick'];"
        f"sys.path.insert(0, {str(FOLDER)!r}); runpy.run_path({str(SCRIPT)!r}, run_name='__main__')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 1 and done.stdout == "" and done.stderr.count("\n") == 1
    assert "pip install -c constraints.txt opencv-python-headless" in done.stderr


def test_beside_opencv(bench, capsys, monkeypatch):
    pytest.importorskip("cv2", reason="needs opencv-python-headless, which is no dependency")
    monkeypatch.setattr(sys, "argv", ["seamless_clone.py", "--quick", "--json"])
    bench.main()
    found = json.loads(capsys.readouterr().out)
    assert len(found["pictures"]) == 4 and all(row["ratio"] > 0 for row in found["pictures"])
    plain = [row["alike"] for row in found["pictures"] if row["gradients"] == "plain"]
    assert min(plain) > 0.4, "both put the same patch at the same place"
