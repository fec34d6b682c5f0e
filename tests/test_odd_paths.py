"""Folders and files with spaces, quotes and letters of many languages in their names, by real processes."""

import json
import shlex
from pathlib import Path

import pytest
from building import write_pictures
from running import BUILD, SYNTHANOM, TRAIN, ran
from test_platforms import portable

from synthanom.shards import DataSet
from synthanom.volumes import write_picture

ABOVE = "Patienten Übersicht"
SCANS, DATA, RUN, MAPS = "日本 scans", "Daten æøå 数据", "Lauf №1 (β)", "Kärtchen ~ 地図"
NAME = "Müller-Lüdenscheidt, 太郎 #{} 100%"
TINY = "# Größe\nnetwork: {settings: {base: 2, resolutions: 2}}\npositions: false\nbatch_size: 4\nepochs: 1\n"
BUILT = ("--tasks", "sink,source", "--folds", "2", "--variants", "1", "--workers", "2")


@pytest.fixture(scope="module")
def above(tmp_path_factory):
    """A built data set; the commands run elsewhere and are given whole paths."""
    folder = tmp_path_factory.mktemp("odd") / ABOVE
    write_pictures(folder / SCANS, count=4)
    for number, path in enumerate(sorted((folder / SCANS).iterdir())):
        path.rename(path.with_name(NAME.format(number) + ".png"))
    (folder / "Einstellungen für uns.yaml").write_text(TINY, encoding="utf-8")
    fine(BUILD, "folder", folder / SCANS, "--out", folder / DATA, *BUILT)
    return folder


def fine(code, *arguments, cwd=None):
    done = ran(code, *arguments, cwd=cwd)
    assert done.returncode == 0, f"{arguments}: {done.stdout}{done.stderr}"
    return done.stdout


def test_built_checked_described_and_listed(above):
    with DataSet.open(above / DATA) as data:
        assert data.healthy_ids == tuple(NAME.format(number) for number in range(4))
    assert "8 rows replayed" in fine(SYNTHANOM, "check", DATA, "--replay", cwd=above)
    answer = json.loads(fine(SYNTHANOM, "check", above / DATA, "--json"))
    assert answer["data"] == str(above / DATA) and answer["problems"] == []
    fine(SYNTHANOM, "describe", above / DATA)
    listed = fine(TRAIN, above / DATA, "--list", "--config", above / "Einstellungen für uns.yaml").splitlines()
    words = shlex.split(next(line for line in listed if line.startswith("synthanom-train ")))
    assert str(above / DATA) in words and str(above / "Einstellungen für uns.yaml") in words
    assert (above / f"{DATA}.log").is_file()
    assert portable([path.relative_to(above / DATA).as_posix() for path in (above / DATA).rglob("*")]) == []


def test_a_second_build_there_finds_the_first_finished(above):
    before = (above / DATA / "dataset.json").read_bytes()
    told = fine(BUILD, "folder", SCANS, "--out", DATA, *BUILT, cwd=above)
    assert "finished already" in told and (above / DATA / "dataset.json").read_bytes() == before


@pytest.mark.slow
def test_everything_else_there(above):
    fine(SYNTHANOM, "preview", above / DATA, "--out", above / "Vorschau é.png")
    fine(SYNTHANOM, "preview", above / SCANS / (NAME.format(0) + ".png"), "--out", above / "einzeln é.png")
    fine(SYNTHANOM, "replay", above / DATA, "sink", 0, "--out", above / "Zeile ñ.png")
    config = above / "Einstellungen für uns.yaml"
    fine(TRAIN, above / DATA, "--out", above / RUN, "--config", config, "--device", "cpu", "--workers", 1)
    fine(SYNTHANOM, "predict", above / RUN, "--input", above / SCANS, "--out", above / MAPS)
    scores = json.loads((above / MAPS / "predict.json").read_text(encoding="utf-8"))
    assert NAME.format(3) in json.dumps(scores, ensure_ascii=False)
    masks = above / "Masken ü"
    masks.mkdir()
    for number in range(4):
        mask = write_mask(masks / (NAME.format(number) + ".png"), ill=number % 2 == 1)
        assert mask.is_file()
    fine(SYNTHANOM, "evaluate", above / MAPS, "--truth", masks, "--out", above / "Zahlen ü", "--run", above / RUN)
    for form in ("hdf5", "nifti"):
        fine(SYNTHANOM, "export", above / DATA, "--out", above / f"Export {form} ü", "--format", form)
    fine(SYNTHANOM, "describe", above / DATA, "--pictures", above / "Bild ü.png")
    for folder in (DATA, RUN, MAPS):
        fine(SYNTHANOM, "report", above / folder, "--out", above / f"Bericht über {folder}.html")
    parts = above / "Teile ü"
    for part in ("1/2", "2/2"):
        fine(BUILD, "folder", above / SCANS, "--out", parts, *BUILT, "--part", part)
    fine(SYNTHANOM, "merge", parts)
    fine(SYNTHANOM, "check", parts, "--replay")
    own = (above / name for name in (DATA, RUN, MAPS, "Zahlen ü", "Export nifti ü", "Export hdf5 ü", "Teile ü"))
    written = [path.relative_to(above).as_posix() for folder in own for path in folder.rglob("*")]
    assert portable(written) == []


def write_mask(path: Path, *, ill: bool) -> Path:
    import numpy as np

    mask = np.zeros((16, 16), np.float32)
    mask[5:9, 5:9] = ill
    write_picture(path, mask)
    return path
