"""Anomalies made while training: keyed by epoch, borrowed from the own fold, the same with workers."""

import hashlib
import json
import shutil
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from small_data import seal, stored_content
from tiny_dataset import TASKS, write_tiny

from synthanom.errors import MissingDonor, SynthanomError
from synthanom.labels import Binary
from synthanom.shards import DataSet
from synthanom.synthesis import stream, synthesise
from synthanom.training.batches import make_loader
from synthanom.training.config import parse_config
from synthanom.training.folds import choose_run
from synthanom.training.live import live_pictures
from synthanom.training.rows import Pick, index_rows, training_picks
from synthanom.training.run import train

SHAPE = (32, 32)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    with DataSet.open(write_tiny(tmp_path_factory.mktemp("live") / "data", shape=SHAPE, variants=1)) as opened:
        yield opened


def test_pictures_are_those_of_the_keyed_stream(data):
    run = choose_run(TASKS, 1, 2)
    source = live_pictures(data, run, seed=7)
    image, label = source.picture(Pick(healthy=4, task="sink", epoch=3))
    sample = data.healthy(4)
    expected = synthesise(sample, source.tasks[0], source.labeller, rng=stream(7, sample.id, "sink", "epoch-3"))
    assert np.array_equal(image, expected.image) and np.array_equal(label, expected.label)
    assert label.max() > 0 and not np.array_equal(image, sample.image)
    other, _ = source.picture(Pick(healthy=4, task="sink", epoch=4))
    assert not np.array_equal(image, other)


def test_stored_and_healthy_pictures_are_read(data):
    source = live_pictures(data, choose_run(TASKS, 1, 2), seed=0)
    healthy, empty = source.picture(Pick(healthy=2))
    assert np.array_equal(healthy, data.healthy(2).image) and not empty.any()
    row = data.rows_of("source", 2)[0]
    stored, _ = source.picture(Pick(healthy=2, task="source", row=row))
    assert np.array_equal(stored, data.anomaly("source", row).image)


def test_donors_are_of_the_own_fold(data):
    run = choose_run(TASKS, 4, 4)
    source = live_pictures(data, run, seed=0)
    textures = []
    for fold in run.train_folds:
        own = source.donors[fold]["intra_blend"]
        assert {data.folds[own[i].subject] for i in range(len(own))} == {fold}
        assert [s.id for s in own.samples[:]] == list(own.ids) and [s.subject for s in own.samples[:]] == list(
            own.subjects
        )
        external = source.donors[fold]["inter_blend"]
        textures.append({external[i].id for i in range(len(external))})
    assert sum(map(len, textures)) == len(set.union(*textures))  # no texture serves two folds


def test_every_task_can_be_made_and_workers_do_not_matter(data):
    run = choose_run(TASKS, 4, 0)
    index = index_rows(data, run)
    source = live_pictures(data, run, seed=0)
    picks = training_picks(index, run, epoch=2, seed=0, flip=0.5, live=True)
    assert len(picks) == len(index.train) and {p.row for p in picks} == {None}
    none = list(make_loader(source, picks, batch_size=4, workers=0))
    two = list(make_loader(source, picks, batch_size=4, workers=2))
    assert all(
        torch.equal(a.images, b.images) and torch.equal(a.labels, b.labels) for a, b in zip(none, two, strict=True)
    )
    assert all(float(label.max()) > 0.009 for batch in none for label in batch.labels)


def test_a_task_without_a_place_gives_way_to_the_next(data, monkeypatch):
    from synthanom.errors import NoPlace

    made = []

    def refusing(sample, task, labeller, **rest):
        made.append(task.name)
        if task.name in refused:
            raise NoPlace("nowhere")
        return synthesise(sample, task, labeller, **rest)

    monkeypatch.setattr("synthanom.mixture.synthesise", refusing)
    source = live_pictures(data, choose_run(TASKS, 2, 7), seed=0)
    refused = {"sink"}
    _, label = source.picture(Pick(healthy=1, task="sink", epoch=0))
    assert made == ["sink", "source"] and label.any()
    refused = {"sink", "source"}
    image, label = source.picture(Pick(healthy=1, task="source", epoch=0))
    assert np.array_equal(image, data.healthy(1).image) and not label.any()


def test_a_live_run_trains_and_says_so(data, tmp_path):
    config = parse_config(
        {"network": {"name": "unet", "settings": {"base": 2, "resolutions": 2}}, "epochs": 2, "live": True}
    )
    outcome = train(data, tmp_path / "run", config=config, run=2)
    card = json.loads((outcome.folder / "best/model.json").read_text())
    assert card["training"]["live"] is True and np.isfinite(card["training"]["loss"])


def test_unknown_settings_and_tasks_are_refused(data, monkeypatch):
    run = choose_run(TASKS, 1, 2)
    manifest = data.manifest
    monkeypatch.setattr(data, "manifest", replace(manifest, configuration={"labeller": {"sigma": 0.3}}))
    assert live_pictures(data, run, seed=0).labeller.sigma == 0.3
    monkeypatch.setattr(data, "manifest", replace(manifest, configuration={"labeller": {"width": 1}}))
    with pytest.raises(SynthanomError, match=r"labeller is not known here .*'width'"):
        live_pictures(data, run, seed=0)
    monkeypatch.setattr(data, "manifest", manifest)
    with pytest.raises(SynthanomError, match="'cut_paste'"):
        live_pictures(data, replace(run, train_tasks=("cut_paste",)), seed=0)


def test_other_labels_are_made_as_they_are_stored(data, monkeypatch):
    run, manifest = choose_run(TASKS, 1, 2), data.manifest
    stored = {"labeller": {"name": "binary", "tolerance": 0.02}}
    monkeypatch.setattr(data, "manifest", replace(manifest, configuration={**manifest.configuration, **stored}))
    source = live_pictures(data, run, seed=7)
    assert source.labeller == Binary(tolerance=0.02)
    row = next(i for i, fold in enumerate(source.folds) if fold in source.donors)
    label = source.picture(Pick(healthy=row, task="sink", epoch=3))[1]
    assert set(np.unique(label)) == {0, 1}


@pytest.fixture
def lent(data, tmp_path, monkeypatch):
    """The configuration of external donors, whose data set lies elsewhere than it says and beside nothing."""
    folder = write_tiny(tmp_path / "archive/moved", shape=SHAPE, variants=0)
    digest = hashlib.sha256((folder / "dataset.json").read_bytes()).hexdigest()
    folds = {f"p-{i}": (i + 1) % 5 for i in range(10)}
    donors = {"kind": "data set", "name": "lenders", "sha256": digest, "path": str(tmp_path / "gone"), "folds": folds}
    monkeypatch.setattr(data, "manifest", replace(data.manifest, configuration={"donors": donors}, donor_folds=folds))
    return folder


def borrowed(source):
    return {f: source.donors[f]["inter_blend"].ids for f in (0, 2)}


def test_external_donors_are_dealt_into_folds_and_found_by_their_digest(data, lent, tmp_path, monkeypatch):
    run = choose_run(TASKS, 1, 1)
    expected = {0: ("case-4", "case-9"), 2: ("case-1", "case-6")}
    named = r"borrowed from data set 'lenders' \(dataset.json with digest [0-9a-f]{12}, 10 subjects\), which is not at "
    with pytest.raises(MissingDonor, match=named + r".*gone, .*lenders; say where .* --donors FOLDER, or train on"):
        live_pictures(data, run, seed=0)
    other = write_tiny(tmp_path / "other", shape=SHAPE, variants=0, subjects=6)
    with pytest.raises(MissingDonor, match=named + r".*other, .*gone"):
        live_pictures(data, run, seed=0, donors=other)
    source = live_pictures(data, run, seed=0, donors=[other, lent])
    assert borrowed(source) == expected
    assert source.picture(Pick(healthy=2, task="inter_blend"))[1].any()
    lent.rename(tmp_path / "gone")
    assert borrowed(live_pictures(data, run, seed=0)) == expected
    beside = data.folder.parent / "lenders"
    (tmp_path / "gone").rename(beside)
    try:
        assert borrowed(live_pictures(data, run, seed=0)) == expected
    finally:
        shutil.rmtree(beside)


def test_donors_without_a_use_are_refused(data, tmp_path):
    with pytest.raises(SynthanomError, match=r"textures, not with donors of .*x; leave --donors out"):
        live_pictures(data, choose_run(TASKS, 1, 1), seed=0, donors=tmp_path / "x")
    with pytest.raises(SynthanomError, match=r"--donors is where --live looks.*leave it out, or add --live"):
        train(data, tmp_path / "run", config=parse_config({}), donors=[tmp_path / "x"])
    assert not (tmp_path / "run").exists()


def test_a_live_run_of_two_processes_borrows_from_moved_donors(tmp_path):
    """The other process opens the data set itself, so it too must be told."""
    lenders = write_tiny(tmp_path / "archive/moved", shape=SHAPE, variants=0)
    digest = hashlib.sha256((lenders / "dataset.json").read_bytes()).hexdigest()
    folder = write_tiny(tmp_path / "data", shape=SHAPE, variants=1)
    folds = {f"p-{i}": i % 5 for i in range(10)}
    content = stored_content(folder)
    content["configuration"]["donors"] = {
        "kind": "data set", "name": "lenders", "sha256": digest, "path": "gone", "folds": folds,
    }  # fmt: skip
    content["donor_folds"] = folds
    seal(folder, content)
    (tmp_path / "c.yaml").write_text("network: {name: unet, settings: {base: 2, resolutions: 2}}\nepochs: 1\n")
    words = ["data", "--run", "1", "--live", "--config", "c.yaml", "--device", "cpu", "--devices", "2", "--out", "run"]
    run = [sys.executable, "-m", "synthanom.training.cli", *words]
    refused = subprocess.run(run, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert refused.returncode == 2 and "data set 'lenders'" in refused.stderr.splitlines()[-1], refused.stderr
    done = subprocess.run(
        [*run, "--donors", "archive/moved"], cwd=tmp_path, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0 and "trained, 1 epochs" in done.stdout, done.stderr
