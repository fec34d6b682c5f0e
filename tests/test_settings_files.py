"""Files of settings: what is wrong with them is said in one line, with the key's path or line and column."""

import pytest
from building import write_pictures
from running import BUILD, TRAIN, ran
from synthanom_builders.settings import read_task_config
from tiny_dataset import write_tiny

from synthanom.errors import SynthanomError
from synthanom.settings_file import key_path, read_settings
from synthanom.training.config import load_config

SHAPE = (16, 16)


def test_paths_of_keys():
    assert key_path(["network", "features", 2, "size"]) == "network.features[2].size"
    assert key_path([]) == "" and key_path([1, "a"]) == "[1].a"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "epochs: 3: 4\n",
            "c.yaml: line 1, column 10: must be readable YAML, got 'mapping values are not allowed here'",
        ),
        ("a: 1\nb: [1, 2\n", "c.yaml: line 3, column 1: must be readable YAML"),
        ("a: 1\n\tb: 2\n", "c.yaml: line 2, column 1: must be readable YAML"),
        ("a: !!python/name:os.system\n", "c.yaml: line 1, column 4: must be readable YAML"),
        ("a: {b: 1, c: 2,\n    b: 3}\n", "c.yaml: line 2, column 5: a.b must be given once, and stands there again"),
        ("a: [{b: 1, b: 2}]\n", "line 1, column 12: a[0].b must be given once"),
        ("a: \x07\n", "c.yaml: must be a readable YAML file"),
        ("7\n", "c.yaml: must hold settings as key: value, got int"),
    ],
)
def test_what_is_no_yaml_is_placed(tmp_path, text, words):
    path = tmp_path / "c.yaml"
    path.write_text(text)
    with pytest.raises(SynthanomError) as caught:
        read_settings(path)
    assert words in str(caught.value) and "\n" not in str(caught.value)


def test_files_that_are_not_there(tmp_path):
    (tmp_path / "brain.yaml").write_text("")
    with pytest.raises(SynthanomError, match=r"brian\.yaml: .* there is none; did you mean .*/brain\.yaml\?"):
        read_settings(tmp_path / "brian.yaml")
    with pytest.raises(SynthanomError, match="there is none; check the path"):
        read_settings(tmp_path / "xxxxxxxxxx")
    with pytest.raises(SynthanomError, match="is no folder"):
        read_settings(tmp_path / "nowhere" / "c.yaml")


def test_a_byte_order_mark_is_no_error(tmp_path):
    (tmp_path / "c.yaml").write_text("epochs: 3\n", encoding="utf-8-sig")
    assert read_settings(tmp_path / "c.yaml") == {"epochs": 3}


def test_aliases_of_aliases_are_gone_through_once(tmp_path):
    lines = ["a0: &a0 {b: 1}", *(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12))]
    (tmp_path / "c.yaml").write_text("\n".join(lines))
    assert set(read_settings(tmp_path / "c.yaml")) == {f"a{n}" for n in range(12)}
    (tmp_path / "c.yaml").write_text("a: &a [*a]\n")
    assert set(read_settings(tmp_path / "c.yaml")) == {"a"}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "batch_size: 0\nflip: 2\n",
            "batch_size: must be greater than or equal to 1, got 0; and flip: must be less than",
        ),
        ("network: {settings: {base: big}}", "network.settings.base: must be a whole number of at least 1, got 'big'"),
        ("network: {settings: {base: true}}", "network.settings.base: must be a whole number"),
        (
            "network: {settings: {basis: 4}}",
            "unknown setting network.settings.basis; did you mean network.settings.base?",
        ),
        (
            "network: unett",
            "network.name: must be one of unet, autoencoder or package.module:Class, got 'unett'; did you",
        ),
        (
            "detector: mulitask",
            "detector: must be 'multitask' or 'autoencoder', got 'mulitask'; did you mean multitask?",
        ),
        ("optimiser: {learning_rate: 1e-3}", "optimiser.learning_rate: must be a valid number, got '1e-3'; in YAML"),
        ("calibration: {beta: 0}", "calibration.beta: must be greater than 0, got 0"),
        ("aggregation: {statistic: top, value: 3.0}", "aggregation: "),
        ("aggregation: {over: forground}", "got 'forground'; did you mean foreground?"),
    ],
)
def test_training_settings(tmp_path, text, words):
    path = tmp_path / "c.yaml"
    path.write_text(text)
    with pytest.raises(SynthanomError) as caught:
        load_config(path, SHAPE)
    assert str(caught.value).startswith(f"{path}: ") and words in str(caught.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("sinc: {}", "has an unknown entry 'sinc'; did you mean sink?"),
        ("sink: 3", "sink: must be a mapping of settings, got 3"),
        ("sink: {pusch: [1, 3]}", "sink.pusch: sink has no setting 'pusch'; did you mean sink.push?"),
        ("sink: {push: [1, far]}", "sink.push[1]: must be a number, got 'far'"),
        ("sink: {push: 3}", "sink.push: must be a list, got 3"),
        ("sink: {push: [3, 1]}", "sink.push must be None or (low, high)"),
        ("sink: {order: 3.5}", "sink.order: must be a whole number, got 3.5"),
        ("sink: {shape: {smallest: 1e-3}}", "sink.shape.smallest: must be a number, got '1e-3'; in YAML"),
        (
            "sink: {shape: {smalest: 0.1}}",
            "sink.shape.smalest: sink.shape has no setting 'smalest'; did you mean sink.sha",
        ),
        ("intra_blend: {mixed: 1}", "intra_blend.mixed: must be true or false, got 1"),
        ("intra_blend: {patch: 3}", "intra_blend.patch: must be a mapping of settings, got 3"),
        ("label: {sigma: 0}", "label.sigma must be a positive number"),
        ("label: {sigm: 1}", "label.sigm: label has no setting 'sigm'; did you mean label.sigma?"),
        ("options: {max_anomalies: many}", "options.max_anomalies: must be a whole number, got 'many'"),
        ("options: {repeat: true}", "options.repeat: must be a number, got True"),
    ],
)
def test_settings_of_tasks(tmp_path, text, words):
    path = tmp_path / "t.yaml"
    path.write_text(text)
    with pytest.raises(SynthanomError) as caught:
        read_task_config(path)
    assert str(caught.value).startswith(f"{path}: {words}"), str(caught.value)


def test_settings_that_are_fine(tmp_path):
    path = tmp_path / "t.yaml"
    path.write_text("sink: {push: [1, 3.5]}\nsource: {push: null}\nlabel: {sigma: 1}\noptions: {repeat: 0}\n")
    config = read_task_config(path)
    assert config.tasks["sink"]["push"] == [1, 3.5] and config.labeller.sigma == 1 and config.options.repeat == 0


def test_commands_say_it_in_one_line(tmp_path):
    write_tiny(tmp_path / "data")
    write_pictures(tmp_path / "scans", count=2)
    (tmp_path / "c.yaml").write_text("optimiser: {learning_rat: 0.1}\n")
    (tmp_path / "t.yaml").write_text("sink: {pusch: [1, 3]}\n")
    (tmp_path / "bad.yaml").write_text("sink: {push: [1, 3}\n")
    train = ran(TRAIN, "data", "--out", "run", "--config", "c.yaml", cwd=tmp_path)
    build = ran(BUILD, "folder", "scans", "--out", "built", "--task-config", "t.yaml", cwd=tmp_path)
    broken = ran(BUILD, "folder", "scans", "--out", "built", "--task-config", "bad.yaml", cwd=tmp_path)
    assert [done.returncode for done in (train, build, broken)] == [2, 2, 2]
    assert train.stderr == (
        "error: c.yaml: unknown setting optimiser.learning_rat; did you mean optimiser.learning_rate?\n"
    )
    assert build.stderr == "error: t.yaml: sink.pusch: sink has no setting 'pusch'; did you mean sink.push?\n"
    assert broken.stderr.startswith("error: bad.yaml: line 1, column 19: must be readable YAML") and (
        broken.stderr.count("\n") == 1
    )
    assert not (tmp_path / "run").exists() and not (tmp_path / "built").exists()
