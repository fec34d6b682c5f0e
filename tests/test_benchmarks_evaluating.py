"""The benchmark of evaluation runs every part and says what it measured."""

import importlib
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1] / "benchmarks"


def test_every_part_is_measured(monkeypatch, capsys):
    monkeypatch.syspath_prepend(str(FOLDER))
    before = set(sys.modules)
    bench = importlib.import_module("evaluating")
    monkeypatch.setattr(sys, "argv", ["evaluating.py", "--pixels", "160000", "--subjects", "22"])
    bench.main()
    out = capsys.readouterr().out
    for words in ("160,000 pixels of 22 subjects", "taking maps", "batches of 20", "best cut, lesions", "MiB in all"):
        assert words in out
    made = list(bench.volumes(160_000, 3, 0))
    assert [mask.any() for _, mask in made] == [False, True, True]
    assert all(scores.shape == mask.shape for scores, mask in made)
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(FOLDER)):
            del sys.modules[name]
    with pytest.raises(KeyError):
        sys.modules["evaluating"]
