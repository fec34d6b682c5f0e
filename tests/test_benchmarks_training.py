"""The benchmark of training steps trains by the real code, in turn with every kind of batches, and writes its part."""

import importlib
import sys
from pathlib import Path

import pytest
from tiny_dataset import write_tiny

from synthanom.shards import DataSet
from synthanom.training.config import parse_config

FOLDER = Path(__file__).parents[1] / "benchmarks"
pytestmark = pytest.mark.usefixtures("one_thread")
SMALL = {"network": {"name": "unet", "settings": {"base": 2, "resolutions": 2}}, "positions": False, "batch_size": 2}


@pytest.fixture(scope="module")
def bench():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(FOLDER))
        before = set(sys.modules)
        yield importlib.import_module("training")
        for name in set(sys.modules) - before:
            if str(getattr(sys.modules[name], "__file__", "")).startswith(str(FOLDER)):
                del sys.modules[name]


def test_kinds_take_turns_in_one_run_and_options_are_what_they_say(bench, tmp_path, monkeypatch, capsys):
    page = tmp_path / "speed.md"
    page.write_text("# Speed\n\n<!-- measured: training -->\nold\n<!-- end: training -->\n\nWhat is left.\n")
    monkeypatch.setattr(bench, "PAGE", page)
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", "")  # set, so that it is put back
    monkeypatch.setattr(bench, "build", lambda preset, folder: write_tiny(folder / "data"))
    monkeypatch.setattr(bench, "load_config", lambda path, shape, given: parse_config(SMALL))
    trained, seen = [], bench.timed

    def timed(data, config, out, kinds, rounds, repeated):
        found = seen(data, config, out, kinds, rounds, repeated)
        trained.append((config.precision, config.channels_last, kinds, found))
        return found

    monkeypatch.setattr(bench, "timed", timed)
    monkeypatch.setattr(bench, "QUICK", (bench.Preset(config="demo", shape=(16, 16), subjects=10, rounds=2),))
    command = ["training.py", "--quick", "--write", "--option", "bf16", "--option", "channels_last"]
    monkeypatch.setattr(sys, "argv", command)
    bench.main()
    (_, _, kinds, found), *options = trained
    assert kinds == ("fixed batch", "workers 0", "workers 1", "workers 2") == tuple(found)
    # eight training subjects, two a batch; the first round does not count
    assert all([len(epoch.ends) for epoch in epochs] == [4, 4] for epochs in found.values())
    assert all(0 < a < b for epochs in found.values() for e in epochs for a, b in zip(e.ends, e.ends[1:], strict=False))
    assert [option[:2] for option in options] == 2 * [
        ("32-true", False), ("bf16-mixed", False), ("32-true", True),
    ]  # fmt: skip
    text = page.read_text()
    assert text.startswith("# Speed\n") and text.endswith("\nWhat is left.\n") and "\nold\n" not in text
    assert "| demo 16 x 16 | 2 | 6 |" in text and "| preset | batch | s | bf16 | channels_last |" in text
    assert capsys.readouterr().out.strip() in text


def test_the_fixed_batch_is_one_of_the_pictures_own_and_the_others_are_read(bench, tmp_path, monkeypatch):
    shown = []
    step = bench.Fitting.training_step
    monkeypatch.setattr(
        bench.Fitting, "training_step", lambda self, batch, number: (shown.append(batch), step(self, batch, number))[1]
    )
    with DataSet.open(write_tiny(tmp_path / "data")) as data:
        bench.timed(data, parse_config(SMALL), tmp_path / "run", (bench.FIXED, "workers 0"), 2, None)
    kinds = [shown[start : start + 4] for start in range(0, 24, 4)]
    assert all(len({batch.images.data_ptr() for batch in kind}) == 1 for kind in kinds[::2])
    assert kinds[0][0].images.data_ptr() == kinds[2][0].images.data_ptr()
    assert all(len({float(batch.images.sum()) for batch in kind}) == 4 for kind in kinds[1::2])


def test_presets_name_configurations_and_full_batches(bench):
    for preset in (*bench.PRESETS, *bench.QUICK):
        config = bench.load_config(bench.ROOT / "configs" / f"{preset.config}.yaml", preset.shape)
        assert preset.subjects * 4 // 5 % (preset.cpu_batch or config.batch_size) == 0
