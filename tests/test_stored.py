"""Data sets built long ago: every row is read, checked and made again, without their raw files."""

import hashlib
import shutil
from pathlib import Path

import pytest

from synthanom.errors import MissingDonor
from synthanom.replaying import check_replay, replay_row
from synthanom.shards import DataSet, check

STORED = Path(__file__).parent / "stored"
ROWS = {"lenders": 3, "pictures": 30, "volumes": 4}
# of the pictures and labels of all rows as they were written
DIGESTS = {
    "lenders": "939731d8050733f6f50d2817d20e7ada1386b73590d9788e713808c2ed333829",
    "pictures": "fff02482c9858c46b9849ff5beafc8f133008ac8f53a4606ba6b1f720d010292",
    "volumes": "14ed8968b8d4b5015a86b8aa10be64dca3eb25c4d45985fe89f678ea42421164",
}


def donors_of(name: str) -> list[Path]:
    return [STORED / "lenders"] if name == "pictures" else []


@pytest.mark.parametrize("name", ROWS)
def test_every_row_is_made_again(name):
    report = check_replay(STORED / name, donors_of(name))
    assert (report.rows, report.problems) == (ROWS[name], ())
    assert report.largest_difference == 0 if report.same_fingerprint else report.largest_difference <= 1e-4


@pytest.mark.parametrize("name", ROWS)
def test_every_row_is_read_as_it_was_written(name):
    assert check(STORED / name) == []
    digest = hashlib.sha256()
    with DataSet.open(STORED / name) as data:
        for task in data.tasks:
            for row in range(data.rows(task)):
                made = data.anomaly(task, row)
                digest.update(made.image.tobytes() + made.label.tobytes() + made.region.tobytes() + made.recipe)
    assert digest.hexdigest() == DIGESTS[name]


def test_donors_that_nobody_has_any_more_are_named(tmp_path):
    alone = shutil.copytree(STORED / "pictures", tmp_path / "pictures")
    with DataSet.open(alone) as data:
        lent = data.manifest.configuration["donors"]
    assert not Path(lent["path"]).exists()
    with pytest.raises(
        MissingDonor, match=rf"data set 'lenders' \(.*{lent['sha256'][:12]}, 3 subjects\), which is not"
    ):
        replay_row(alone, "inter_blend", 5)
    assert replay_row(alone, "inter_blend", 5, STORED / "lenders").label.any()
