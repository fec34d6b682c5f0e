"""Names that there are not are refused with the nearest that there are, by every command."""

import pytest
from building import write_pictures
from running import BUILD, SYNTHANOM, TRAIN, ran
from tiny_dataset import write_tiny

from synthanom.mistyped import misuse
from synthanom.nearest import meant, nearest

TASKS = ("intra_blend", "inter_blend", "sink", "source", "smooth_intensity")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A data set, pictures, and files of settings under their right names."""
    folder = tmp_path_factory.mktemp("near")
    write_tiny(folder / "data")
    write_pictures(folder / "scans", count=2)
    (folder / "small.yaml").write_text("epochs: 1\n")
    (folder / "tasks.yaml").write_text("sink: {push: [1, 3]}\n")
    return folder


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("snik", "sink"),
        ("SINK", "sink"),
        ("smooth", "smooth_intensity"),
        ("smooth-intensity", "smooth_intensity"),
        ("intra", "intra_blend"),
        (" source", "source"),
        ("elephant", None),
        ("", None),
    ],
)
def test_the_nearest_of_some_names(name, expected):
    assert nearest(name, TASKS) == expected


def test_nothing_is_meant_where_nothing_is_near():
    assert meant("zzz", TASKS) == "" and meant(3, TASKS) == "" and meant("sink", ()) == ""
    assert meant("snik", TASKS, before="tasks.") == "; did you mean tasks.sink?"


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("No such option: --foldds (Possible options: --folds, --gold)", "--foldds; did you mean --folds? See --help"),
        ("No such option: --x", "No such option: --x; see --help"),
        ("No such command 'chek'. Did you mean 'check', 'checks'?", "'chek'; did you mean check? See --help"),
        ("Missing argument 'DATA'", "Missing argument 'DATA'; see --help"),
    ],
)
def test_words_of_typer_are_put_into_ours(said, expected):
    assert misuse(said).endswith(expected)


PREDICT = ("predict", "run", "--input", "scans", "--out", "maps")
FOLDER = ("folder", "scans", "--out", "built")


@pytest.mark.parametrize(
    ("command", "arguments", "words"),
    [
        (BUILD, (*FOLDER, "--foldds", "3"), "No such option: --foldds; did you mean --folds? See --help"),
        (TRAIN, ("data", "--epoch", "3"), "No such option: --epoch; did you mean --epochs? See --help"),
        (SYNTHANOM, (*PREDICT, "--mirrored"), "No such option: --mirrored; did you mean --mirror? See --help"),
        (BUILD, ("vindr", "scans", "--out", "built"), "No such command 'vindr'; did you mean vindr-cxr? See --help"),
        (SYNTHANOM, ("chekc", "data"), "No such command 'chekc'; did you mean check? See --help"),
        (SYNTHANOM, (*PREDICT, "--device", "cude"), "did you mean cuda? See --help"),
        (
            SYNTHANOM,
            ("preview", "scans/p00.png", "--out", "p.png", "--normalise", "z-score"),
            "did you mean zscore? See",
        ),
        (SYNTHANOM, ("preview", "data", "--out", "p.png", "--tasks", "snik"), "did you mean sink?"),
        (SYNTHANOM, ("replay", "data", "smooth", "0", "--out", "p.png"), "did you mean smooth_intensity?"),
        (SYNTHANOM, ("export", "data", "--out", "e", "--tasks", "sauce"), "did you mean source?"),
        (SYNTHANOM, ("export", "data", "--out", "e", "--codec", "gzp"), "did you mean gzip?"),
        (TRAIN, ("data", "--detector", "mulitask"), "did you mean multitask?"),
        (TRAIN, ("data", "--pairing", "ful"), "did you mean full?"),
        (TRAIN, ("data", "--config", "smal.yaml"), "did you mean small.yaml?"),
        (BUILD, (*FOLDER, "--tasks", "sink,intra"), "got 'sink,intra'; did you mean intra_blend?"),
        (BUILD, (*FOLDER, "--task-config", "task.yaml"), "did you mean tasks.yaml?"),
        (BUILD, (*FOLDER, "--codec", "zst"), "did you mean zstd?"),
        (BUILD, (*FOLDER, "--normalise", "minus_one"), "did you mean minus-one-one?"),
        (BUILD, (*FOLDER, "--layout", "bid"), "did you mean bids?"),
        (BUILD, (*FOLDER, "--foreground", "ostu"), "did you mean otsu?"),
        (BUILD, ("hcp", "scans", "--out", "built", "--contrasts", "T11"), "did you mean T1?"),
        (BUILD, ("vindr-cxr", "scans", "--out", "built", "--split", "dadd"), "did you mean ddad?"),
        (SYNTHANOM, ("evaluate", "maps", "--prevalence", "sampel=0.1"), "did you mean sample?"),
    ],
)
def test_commands_offer_the_nearest(place, command, arguments, words):
    done = ran(command, *arguments, cwd=place)
    assert done.returncode == 2 and done.stdout == "", done.stdout + done.stderr
    lines = done.stderr.splitlines()
    assert len(lines) == 1 and lines[0].startswith("error: ") and words in lines[0], done.stderr
    assert not (place / "built").exists() and not (place / "maps").exists()
