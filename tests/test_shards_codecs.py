"""Every codec gives the same values back; what needs hdf5plugin says so where it is missing."""

import hashlib
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
from building import build, shards, write_pictures
from small_data import small_row, small_samples

from synthanom.errors import SynthanomError
from synthanom.manifest import read_manifest
from synthanom.replaying import check_replay
from synthanom.shards import DataSet, check, codecs, fingerprint, write_anomalies, write_healthy
from synthanom.shards.codecs import CODECS, check_codec

SHAPE = (12, 13, 14)


@pytest.mark.parametrize("codec", CODECS)
def test_what_is_written_is_read_back(tmp_path, codec):
    samples = small_samples(3, 2, SHAPE)
    rows = [small_row("sink", i, sample, 0) for i, sample in enumerate(samples)]
    for folder in ("a", "b"):
        records = [
            write_healthy(tmp_path / folder / "healthy/00000.h5", samples, [(0, 0, 0)] * 3, codec=codec),
            write_anomalies(tmp_path / folder / "anomalies/sink/00000.h5", rows, shape=SHAPE, channels=2, codec=codec),
        ]
        for record in records:
            content = (tmp_path / folder / record.path).read_bytes()
            assert hashlib.sha256(content).hexdigest() == record.sha256
    assert shards(tmp_path / "a") == shards(tmp_path / "b")
    with h5py.File(tmp_path / "a/healthy/00000.h5") as file:
        np.testing.assert_array_equal(file["image"][2], samples[2].image)
    with h5py.File(tmp_path / "a/anomalies/sink/00000.h5") as file:
        properties = file["values"].id.get_create_plist()
        filters = [properties.get_filter(i)[0] for i in range(properties.get_nfilters())]
        assert filters[1] == CODECS[codec].filter and file["values"].fletcher32 and file["values"].shuffle
        stored = np.concatenate([box.values.ravel() for row in rows for box in row.boxes])
        np.testing.assert_array_equal(file["values"][()], stored)


@pytest.mark.parametrize("codec", CODECS)
def test_builds_of_every_codec_hold_the_same(tmp_path, codec):
    raw = write_pictures(tmp_path / "raw", 6)
    options = ("--variants", 2, "--tasks", "sink,smooth_intensity", "--workers", 1)
    for out, chosen in (("plain", "gzip"), ("other", codec)):
        assert build(raw, "--out", tmp_path / out, *options, "--codec", chosen).status == 0
        assert check(tmp_path / out) == []
    manifest = read_manifest(tmp_path / "other")
    assert manifest.configuration.get("codec", "gzip") == codec
    assert ("hdf5plugin" in manifest.fingerprint) == CODECS[codec].plugin
    found = check_replay(tmp_path / "other")
    assert found.problems == () and found.same_fingerprint
    with DataSet.open(tmp_path / "plain") as one, DataSet.open(tmp_path / "other") as other:
        for row in range(len(one)):
            np.testing.assert_array_equal(one.healthy(row).image, other.healthy(row).image)
        for task in one.tasks:
            for row in range(one.rows(task)):
                first, second = one.anomaly(task, row), other.anomaly(task, row)
                assert first.recipe == second.recipe
                np.testing.assert_array_equal(first.image, second.image)
                np.testing.assert_array_equal(first.label, second.label)
    if codec != "gzip":
        changed = build(raw, "--out", tmp_path / "plain", *options, "--codec", codec)
        assert changed.status == 2 and "codec was" in changed.error


def test_a_damaged_row_is_noticed_whatever_the_codec(tmp_path):
    for codec in CODECS:
        samples = small_samples(2, 1, SHAPE)
        path = tmp_path / codec / "healthy/00000.h5"
        write_healthy(path, samples, [(0, 0, 0)] * 2, codec=codec)
        with h5py.File(path) as file:
            place = file["image"].id.get_chunk_info(1)
        content = bytearray(path.read_bytes())
        content[place.byte_offset + place.size // 2] ^= 4
        path.write_bytes(bytes(content))
        with h5py.File(path) as file:
            np.testing.assert_array_equal(file["image"][0], samples[0].image)
            with pytest.raises(OSError, match=r"checksum|filter"):
                file["image"][1]


def test_a_codec_that_is_not_here_names_what_to_install(tmp_path, monkeypatch):
    raw = write_pictures(tmp_path / "raw", 6)
    options = ("--variants", 1, "--tasks", "sink", "--workers", 1)
    assert build(raw, "--out", tmp_path / "data", *options, "--codec", "zstd").status == 0
    monkeypatch.setattr(codecs, "PLUGIN", "hdf5plugin_that_is_not_here")
    ran = build(raw, "--out", tmp_path / "more", *options, "--codec", "lz4")
    assert ran.status == 2 and "pip install 'synthanom[fast]'" in ran.error and not (tmp_path / "more").exists()
    message = r"00000\.h5: column .* is compressed with zstd, which needs hdf5plugin"
    with DataSet.open(tmp_path / "data") as data, pytest.raises(SynthanomError, match=message):
        data.healthy(0)
    ran = build(raw, "--out", tmp_path / "more", *options, "--codec", "bzip2")
    assert ran.status == 2 and "--codec must be one of gzip, lzf, zstd, lz4" in ran.error


def test_plain_hdf5_needs_no_plugin():
    """Reading and writing gzip must not import it."""
    import subprocess

    code = (
        "import sys, pathlib; sys.path.insert(0, 'tests'); from small_data import write_small\n"
        "import tempfile; from synthanom.shards import DataSet, fingerprint\n"
        "folder = pathlib.Path(tempfile.mkdtemp()); write_small(folder); fingerprint()\n"
        "DataSet.open(folder).healthy(0); print('hdf5plugin' in sys.modules)"
    )
    root = Path(__file__).parents[1]
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root)
    assert ran.stdout.strip() == "False"


def test_fingerprints_hold_the_version_of_the_plugin():
    assert set(fingerprint("zstd")) - set(fingerprint()) == {"hdf5plugin"}
    assert check_codec("lzf") == "lzf" and fingerprint("lzf") == fingerprint()
