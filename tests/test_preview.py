"""Examples for pictures: a single scan without building, and rows of a data set."""

import numpy as np
import pytest
from phantoms import phantom
from real_data import write_real

from synthanom.errors import SynthanomError
from synthanom.preview import is_dataset, preview_dataset, preview_scan
from synthanom.tasks import PAPER_TASKS, TASKS
from synthanom.volumes import write_picture, write_volume


def scan(folder, shape=(18, 24, 20)):
    """A z-stack with background 0, written with anisotropic voxels."""
    sample = phantom(shape, seed=5)
    values = np.where(sample.foreground, 100 + 20 * sample.image[0], 0)
    path = folder / "scan.nii.gz"
    write_volume(path, values.astype(np.float32), np.diag([-1.0, 2.0, 3.0, 1.0]))
    return path


def picture(folder, shape=(40, 48)):
    sample = phantom(shape, seed=2)
    image = sample.image[0]
    path = folder / "picture.png"
    write_picture(path, (image - image.min()) / np.ptp(image))
    return path


@pytest.mark.parametrize("write", [scan, picture])
def test_every_task_is_made_in_a_single_scan(tmp_path, write):
    shown = preview_scan(write(tmp_path), seed=1)
    titles = [e.title for e in shown.examples]
    assert [t.split("\n")[0] for t in titles] == list(PAPER_TASKS) and shown.notes == ()
    assert "this scan mirrored" in titles[0] and "procedural texture" in titles[1]
    assert [bool(e.centres) for e in shown.examples] == [False, False, True, True, False]
    for example in shown.examples:
        assert example.label.max() > 0.01 and np.array_equal(example.before, shown.examples[0].before)
        changed = np.abs(example.after - example.before)[0]
        assert changed.max() > 0.05 and changed[example.label == 0].max() <= 0.0011
    volume = write is scan
    assert shown.examples[0].spacing == ((3.0, 2.0, 1.0) if volume else None)
    assert ("z-scored" if volume else "[-1, 1]") in shown.heading
    if volume:
        assert shown.examples[0].before[0][shown.examples[0].foreground].std() == pytest.approx(1, abs=1e-3)


def test_tasks_beyond_the_papers_are_shown_when_named(tmp_path):
    others = [name for name in TASKS if name not in PAPER_TASKS]
    shown = preview_scan(picture(tmp_path), seed=1, tasks=[*others, "sink"])
    assert [e.title.split("\n")[0] for e in shown.examples] == ["sink", *others] and shown.notes == ()


def test_the_seed_decides(tmp_path):
    path = picture(tmp_path)
    first, again, other = (preview_scan(path, seed=s, tasks=["sink"]).examples[0] for s in (0, 0, 1))
    assert np.array_equal(first.after, again.after) and not np.array_equal(first.after, other.after)


def test_intra_blend_borrows_the_mirror_image(tmp_path):
    from synthanom.preview import _own_donors, _scan

    sample, _ = _scan(picture(tmp_path), "auto")
    donors = _own_donors(sample)
    mirrored = donors["intra_blend"][0]
    assert np.array_equal(mirrored.image, sample.image[..., ::-1]) and mirrored.subject != sample.subject
    assert float(donors["inter_blend"][0].image.std()) == pytest.approx(float(sample.image.std()), rel=1e-3)


def test_scans_in_other_units_are_refused(tmp_path):
    path = picture(tmp_path)
    with pytest.raises(SynthanomError, match=r"picture\.png.*normalise first"):
        preview_scan(path, seed=0, normalise="none")


def test_unknown_tasks_are_refused(tmp_path):
    with pytest.raises(SynthanomError, match="no task 'swirl'"):
        preview_scan(picture(tmp_path), seed=0, tasks=["swirl"])


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return write_real(tmp_path_factory.mktemp("set") / "data")


def test_stored_rows_are_shown(dataset):
    from synthanom.shards import DataSet

    assert is_dataset(dataset) and not is_dataset(dataset.parent)
    shown = preview_dataset(dataset, seed=0)
    assert [e.title.split(",")[0] for e in shown.examples] == ["inter_blend", "sink"]
    assert "procedural texture" in shown.examples[0].title
    with DataSet.open(dataset) as data:
        for example, task in zip(shown.examples, data.tasks, strict=True):
            row = int(example.title.split("row ")[1].split("\n")[0])
            stored = data.anomaly(task, row)
            assert np.array_equal(example.after, stored.image) and np.array_equal(example.label, stored.label)
            assert np.array_equal(example.before, data.healthy(stored.healthy_index).image)
    others = {preview_dataset(dataset, seed=s, tasks=["sink"]).examples[0].title for s in range(12)}
    assert len(others) > 3


def test_a_task_without_rows_is_noted(tmp_path):
    folder = write_real(tmp_path / "data", subjects=2, tasks=("sink", "source"), variants=0)
    with pytest.raises(SynthanomError, match="nothing to show: sink: the data set holds no row of it"):
        preview_dataset(folder, seed=0)


def test_tasks_that_the_data_set_lacks_are_refused(dataset):
    with pytest.raises(SynthanomError, match="no task 'source'; it has inter_blend, sink"):
        preview_dataset(dataset, seed=0, tasks=["source"])
