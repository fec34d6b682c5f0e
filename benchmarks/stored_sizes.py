"""What a data set takes on disk beside the same arrays stored densely."""

import tempfile
from pathlib import Path

import h5py
import numpy as np

from synthanom.manifest import read_manifest
from synthanom.sample import Sample
from synthanom.shards import DataSet, write_healthy


def shares(out: Path, codec: str) -> tuple[float, float]:
    """Bytes stored, as shares of the same arrays stored densely: before compression, and with the codec on both."""
    manifest = read_manifest(out)
    voxels = int(np.prod(manifest.shape))
    one = voxels * (4 * manifest.channels + 4 + 1 / 8)
    healthy = voxels * (4 * manifest.channels + 1 / 8)
    dense = manifest.counts["anomalies"] * one + manifest.counts["healthy"] * healthy
    plain = packed = 0
    for file in manifest.files:
        if file.path.endswith(".h5"):
            packed += file.bytes
            with h5py.File(out / file.path) as opened:
                plain += sum(column.size * column.dtype.itemsize for column in opened.values())
    return plain / dense, packed / (manifest.counts["anomalies"] * dense_row(out, codec) + stored_healthy(out))


def stored_healthy(out: Path) -> int:
    return sum(file.bytes for file in read_manifest(out).healthy_files)


def dense_row(out: Path, codec: str) -> float:
    """Bytes that an anomalous picture with its label takes, stored whole and compressed."""
    with DataSet.open(out) as data, tempfile.TemporaryDirectory() as folder:
        total, count = 0, 0
        for task in data.tasks:
            chosen = np.linspace(0, data.rows(task) - 1, 4).astype(int)
            for row in map(int, chosen):
                picture = data.anomaly(task, row)
                whole = [
                    Sample(image=image, foreground=picture.region, spacing=None, affine=None, id="x", subject="x")
                    for image in (picture.image, picture.label[None])
                ]
                for k, sample in enumerate(whole):
                    path = Path(folder) / f"{k}/healthy/00000.h5"
                    total += write_healthy(path, [sample], [(0,) * len(data.shape)], codec=codec).bytes
                count += 1
    return total / count
