"""DigitAnatomy: what a grid shows is found again among all crops of all exemplars, and no pixel else differs."""

import os

import numpy as np
import pytest
from building import build, shards
from digits import TRAIN, exemplars, rows, write_idx, write_npz
from synthanom_builders import digit
from synthanom_builders.digit_anomalies import KINDS, difference, flipped
from synthanom_builders.digit_files import Exemplars, find_digits, load_digits
from synthanom_builders.digit_grids import Cell, draw_grid, render
from synthanom_builders.named import named
from synthanom_builders.settings import BuildSettings

from synthanom.errors import SynthanomError
from synthanom.manifest import read_manifest
from synthanom.replaying import check_replay
from synthanom.shards import DataSet, check
from synthanom.truth_set import read_truth_set
from synthanom.volumes import read, read_mask
from synthanom.volumes.reading import AS_STORED
from synthanom.volumes.volume import make_volume

QUICK = ("--variants", 1, "--tasks", "sink,smooth_intensity")
EXACT = 0.51 / 65535  # half a level of 16 bits, and what float32 rounds
WHITE = 65535
FIRST = (
    Cell(digit=1, exemplar=0, side=23, corner=(0, 3)),
    Cell(digit=2, exemplar=1, side=22, corner=(1, 4)),
)
CHANGED = {"novel": "000100001", "missing": "001000001", "disordered": "010100001", "flipped": "000001101"}


@pytest.fixture(autouse=True)
def few(monkeypatch):
    """Also where a build is to be refused: were it not, it would take minutes."""
    monkeypatch.setattr(digit, "COUNT", 6)
    monkeypatch.setattr(digit, "EACH", 3)


def enlarged(crops):
    """Crops (n, c, c) to (n, 32, 32), linear between pixel centres: the definition, as a matrix per axis."""
    side = crops.shape[-1]
    at = np.clip((np.arange(32) + 0.5) * side / 32 - 0.5, 0, side - 1)
    weights = np.maximum(0, 1 - np.abs(at[:, None] - np.arange(side)))
    return weights @ crops @ weights.T


def all_crops(part):
    """What any cell of a part may show, (10 digits, n exemplars, 140 crops, 32, 32) in [0, 1]."""
    known = exemplars(part) / 255
    flat = known.reshape(-1, 28, 28)
    crops = []
    for side in range(22, 29):
        for top in range(29 - side):
            for left in range(29 - side):
                crops.append(enlarged(flat[:, top : top + side, left : left + side]))
    return np.stack(crops, axis=1).reshape(*known.shape[:2], -1, 32, 32)


def cells(picture):
    """The nine cells (9, 32, 32) of a grid."""
    return picture.reshape(3, 32, 3, 32).swapaxes(1, 2).reshape(9, 32, 32)


def shown(cell, crops):
    """(digit, exemplar) whose crop the cell is, exactly; None if none is."""
    distances = np.abs(crops - cell).max(axis=(-1, -2))
    place = np.unravel_index(distances.argmin(), distances.shape)
    return tuple(int(i) for i in place[:2]) if distances[place] <= EXACT else None


def read_grid(raw, index):
    case = digit.list_cases(raw, raw / "out", BuildSettings()).cases[index]
    return digit.read(raw, case, AS_STORED)[0].image[0]


def test_a_grid_shows_every_digit_in_its_place(tmp_path):
    raw, crops, other = write_idx(tmp_path / "raw"), all_crops("train"), all_crops("test")
    used = set()
    for index in range(6):
        picture = cells(read_grid(raw, index) / WHITE)
        found = [shown(cell, crops) for cell in picture]
        assert [one and one[0] for one in found] == list(range(1, 10))
        assert [shown(cell, other) for cell in picture] == [None] * 9, "exemplars to test on"
        used |= {one[1] for one in found}
    assert used == set(range(TRAIN))


def test_crops_take_areas_evenly_and_stay_within_the_digit():
    rng = np.random.default_rng(3)
    drawn = [cell for _ in range(400) for cell in draw_grid(rng, (5,) * 10)]
    sides = np.array([cell.side for cell in drawn])
    assert set(sides) == set(range(22, 29))
    assert np.mean((sides / 28) ** 2) == pytest.approx(0.8, abs=0.01)
    corners = np.array([cell.corner for cell in drawn])
    for side in range(22, 29):
        assert corners[sides == side].min() == 0 and corners[sides == side].max() == 28 - side
    assert {cell.exemplar for cell in drawn} == set(range(5))


def test_what_is_drawn_never_changes(tmp_path):
    """Written down once: other numbers here are another data set, and need another STREAMS."""
    found = load_digits(find_digits(write_idx(tmp_path / "raw"), "train"))
    assert digit.normal_grid("train", 0, found)[:2] == FIRST
    test = load_digits(find_digits(tmp_path / "raw", "test"))
    drawn = {kind: digit.anomalous_grid(0, kind, test) for kind in KINDS}
    normal = digit.normal_grid("test", 0, test)
    changed = {k: "".join(str(int(a != b)) for a, b in zip(normal, grid, strict=True)) for k, grid in drawn.items()}
    assert changed == CHANGED


def test_the_whole_way(tmp_path):
    raw, out = write_idx(tmp_path / "raw"), tmp_path / "data"
    ran = build(raw, "--out", out, *QUICK, "--workers", 1, command="digit-anatomy")
    assert ran.status == 0 and "digits: 40 of train-images-idx3-ubyte" in ran.err and "grids: 6, all normal" in ran.err
    assert check(out) == [] and check_replay(out).problems == ()
    manifest = read_manifest(out)
    names = [f"train/{i:05}" for i in range(6)]
    assert manifest.shape == (96, 96) and sorted(manifest.folds) == names
    pipeline = named("digit-anatomy").pipeline(BuildSettings(), (96, 96))
    with DataSet.open(out) as data:
        assert data.healthy_ids == tuple(names)
        for i in (0, 5):
            sample = data.healthy(i)
            picture = read_grid(raw, i)
            np.testing.assert_allclose(sample.image[0], 2 * picture / picture.max() - 1, atol=1e-6)
            prepared = pipeline.prepare(make_volume(picture, raw, kind="picture"))
            np.testing.assert_array_equal(sample.image, prepared.image)
            assert sample.foreground.all()
    again = build(raw, "--out", out, *QUICK, command="digit-anatomy")
    assert again.status == 0 and "finished already" in again.out
    os.utime(raw / "train-labels-idx1-ubyte", ns=(1, 1))
    changed = build(raw, "--out", out, *QUICK, command="digit-anatomy")
    assert changed.status == 2 and "images changed: 6" in changed.error


def test_workers_order_and_files_do_not_change_the_grids(tmp_path):
    one, two = write_idx(tmp_path / "one"), write_npz(tmp_path / "two")
    for raw, workers in ((one, 1), (two, 2)):
        options = ("--shape", "48,40", *QUICK, "--workers", workers)
        assert build(raw, "--out", raw / "out", *options, command="digit-anatomy").status == 0
        assert build(raw, "--test", "--out", raw / "truth", "--workers", workers, command="digit-anatomy").status == 0
    assert shards(one / "out") == shards(two / "out") and len(shards(one / "out")) > 2
    with DataSet.open(one / "out") as data:
        assert data.healthy(0).shape == (48, 40)
    drawn = {p.relative_to(one): p.read_bytes() for p in (one / "truth").rglob("*.png")}
    assert len(drawn) == 24 + 12 and all((two / path).read_bytes() == content for path, content in drawn.items())
    forth = [read_grid(one, i) for i in range(6)]
    back = [read_grid(two, i) for i in reversed(range(6))]
    assert all(np.array_equal(a, b) for a, b in zip(forth, reversed(back), strict=True))
    assert len({picture.tobytes() for picture in forth}) == 6


def test_every_anomaly_stands_beside_the_grid_it_was_made_from(tmp_path):
    raw, out = write_idx(tmp_path / "raw"), tmp_path / "truth"
    ran = build(raw, "--test", "--out", out, "--workers", 1, command="digit-anatomy")
    assert ran.status == 0 and "24 scans to test on (12 anomalous, 12 healthy, 12 masks)" in ran.out
    assert (out / "truth.csv").read_text().splitlines()[0] == "id,label,subject,kind,cells,pair"
    cases = {case.id: case for case in read_truth_set(out).cases}
    crops = all_crops("test")
    assert {kind: sum(case.kind == kind for case in cases.values()) for kind in KINDS} == dict.fromkeys(KINDS, 3)
    for case in [case for case in cases.values() if case.anomalous]:
        pair = cases[case.columns["pair"]]
        assert pair.columns == {"cells": "000000000", "pair": case.id} and pair.subject == case.subject
        assert pair.anomalous is False and pair.mask is None and pair.kind == ""
        before, after = (read(one.images[0]).image[0].astype(float) / WHITE for one in (pair, case))
        mask, _ = read_mask(case.mask)
        np.testing.assert_array_equal(mask, np.abs(after - before) > 0.1)
        changed = [before != after for before, after in zip(cells(before), cells(after), strict=True)]
        assert "".join(str(int(one.any())) for one in changed) == case.columns["cells"]
        check_kind(case.kind, cells(before), cells(after), crops)


def check_kind(kind, before, after, crops):
    """Normal cells show what they should; the others what the kind says."""
    assert [shown(cell, crops)[0] for cell in before] == list(range(1, 10))
    odd = [i for i in range(9) if not np.array_equal(before[i], after[i])]
    assert odd and (kind == "disordered" or len(odd) <= 3)
    for i in odd:
        if kind == "novel":
            assert shown(after[i], crops)[0] == 0
        elif kind == "missing":
            assert not after[i].any()
        elif kind == "disordered":
            assert any(np.array_equal(after[i], before[k]) for k in odd if k != i)
        else:
            assert any(np.array_equal(after[i], np.flip(before[i], axis)) for axis in (0, 1))
    if kind == "disordered":
        assert sorted(cell.tobytes() for cell in before) == sorted(cell.tobytes() for cell in after)


def test_what_is_written_to_test_on_is_what_is_rendered(tmp_path):
    raw, out = write_idx(tmp_path / "raw"), tmp_path / "truth"
    assert build(raw, "--test", "--out", out, "--workers", 1, command="digit-anatomy").status == 0
    known = digit.list_known(raw.resolve(), out, BuildSettings())
    found = load_digits(find_digits(raw, "test"))
    pipeline = named("digit-anatomy").pipeline(BuildSettings(), (96, 96))
    for one, case in zip(known.cases, read_truth_set(out).cases, strict=True):
        assert one.case.id == case.id
        image, _ = one.drawing.draw(raw, one.case)
        stored = read(case.images[0])
        np.testing.assert_allclose(stored.image[0] / WHITE, image, atol=1e-7)
        index = int(case.id[-5:])
        grid = digit.anomalous_grid(index, case.kind, found) if case.kind else digit.normal_grid("test", index, found)
        rendered = make_volume(render(grid, found), raw, kind="picture")
        np.testing.assert_array_equal(pipeline.prepare(stored).image, pipeline.prepare(rendered).image)


def the_digits(part="test"):
    return Exemplars(images=tuple(exemplars(part)))


@pytest.mark.parametrize("kind", KINDS)
def test_how_many_cells_an_anomaly_changes(kind):
    found, rng = the_digits(), np.random.default_rng(7)
    counts, places = set(), set()
    for _ in range(150):
        grid = draw_grid(rng, found.counts)
        after = KINDS[kind](rng, grid, found)
        odd = [i for i in range(9) if grid[i] != after[i]]
        counts.add(len(odd))
        places |= set(odd)
        if kind == "disordered":
            assert all(after[i].digit != grid[i].digit for i in odd)
            assert sorted(cell.digit for cell in after) == list(range(1, 10))
    assert counts == (set(range(2, 10)) if kind == "disordered" else {1, 2, 3})
    assert places == (set(range(9)) - {0, 7} if kind == "flipped" else set(range(9)))


def test_mirrors_that_change_nothing_are_not_taken():
    found, rng = the_digits(), np.random.default_rng(8)
    taken = set()
    for _ in range(150):
        grid = flipped(rng, draw_grid(rng, found.counts), found)
        taken |= {(cell.digit, cell.mirrored) for cell in grid if cell.mirrored != "none"}
    both = {(one, mirror) for one in (2, 4, 5, 6, 7, 9) for mirror in ("left-right", "up-down")}
    assert taken == both | {(3, "left-right")}
    # rings look the same in any mirror; one of them with a faint tail does not count either
    ring = np.zeros((28, 28), np.uint8)
    ring[6:22, 6:22] = 255
    ring[9:19, 9:19] = 0
    faint, clear = ring.copy(), ring.copy()
    faint[24, 2:4] = 255
    clear[2:26, 2:6] = 255
    whole = tuple(Cell(digit=one, exemplar=0, side=28, corner=(0, 0)) for one in range(1, 10))
    pictures = [ring] * 10
    pictures[5] = faint
    with pytest.raises(SynthanomError, match="must change one of the digits"):
        flipped(rng, whole, Exemplars(images=tuple(picture[None] for picture in pictures)))
    pictures[6] = clear
    after = flipped(rng, whole, Exemplars(images=tuple(picture[None] for picture in pictures)))
    assert [cell.mirrored for cell in after] == ["none"] * 5 + ["left-right"] + ["none"] * 3


def test_the_edge_of_a_mask():
    normal = np.full((96, 96), 10_000, np.uint16)
    anomalous = normal.copy()
    anomalous[0, :4] = 10_000 + 6553, 10_000 + 6554, 10_000 - 6553, 10_000 - 6554
    assert np.argwhere(difference(normal, anomalous)).tolist() == [[0, 1], [0, 3]]


def test_an_anomaly_that_nobody_can_see_is_left_out(tmp_path, monkeypatch):
    images = rows("test")[0] * (rows("test")[1] > 4)[:, None, None].astype(np.uint8)
    raw = write_npz(tmp_path / "raw", x_test=images)
    monkeypatch.setattr(digit, "EACH", 12)
    ran = build(raw, "--test", "--out", tmp_path / "truth", "--workers", 1, command="digit-anatomy")
    assert ran.status == 3 and "an anomaly must be visible, got a digit without ink" in ran.err
    cases = read_truth_set(tmp_path / "truth").cases
    assert all(read_mask(case.mask)[0].any() for case in cases if case.anomalous)
