"""Files of digits: every layout holds the same ones, and what is damaged or declares too much is refused in a line."""

import gzip
import io
import os
import struct
import zipfile

import numpy as np
import pytest
from building import build
from digits import TEST, TRAIN, arrays, exemplars, idx, rows, table, write_idx, write_npz, write_table
from synthanom_builders import digit
from synthanom_builders.digit_files import find_digits, load_digits

QUICK = ("--variants", 1, "--tasks", "sink,smooth_intensity")


@pytest.fixture(autouse=True)
def few(monkeypatch):
    """Also where a build is to be refused: were it not, it would take minutes."""
    monkeypatch.setattr(digit, "COUNT", 6)
    monkeypatch.setattr(digit, "EACH", 3)


@pytest.mark.parametrize("part", ["train", "test"])
def test_all_spellings_hold_the_same_digits(tmp_path, part):
    expected = [set(map(bytes, of_digit)) for of_digit in exemplars(part)]
    writers = (
        write_idx(tmp_path / "a"),
        write_idx(tmp_path / "b", packed=True),
        write_idx(tmp_path / "c", dotted=True),
        write_idx(tmp_path / "d", dotted=True, packed=True),
        write_npz(tmp_path / "e"),
    )
    columns_first = {name: np.asfortranarray(array) for name, array in arrays().items()}
    wide = {f"y_{name}": rows(name)[1].astype(np.int64) for name in ("train", "test")}
    for raw in (*writers, write_npz(tmp_path / "f", **columns_first), write_npz(tmp_path / "g", **wide)):
        found = load_digits(find_digits(raw, part))
        assert [set(map(bytes, of_digit)) for of_digit in found.images] == expected
        assert found.counts == (TRAIN if part == "train" else TEST,) * 10


def test_changed_digits_are_read_again(tmp_path):
    raw = write_npz(tmp_path / "raw")
    before = load_digits(find_digits(raw, "train"))
    assert load_digits(find_digits(raw, "train")) is before
    write_npz(raw, x_train=255 - rows("train")[0])
    os.utime(raw / "mnist.npz", ns=(1, 1))
    after = load_digits(find_digits(raw, "train"))
    np.testing.assert_array_equal(after.images[4], 255 - before.images[4])


def test_small_digits_are_enlarged_and_split(tmp_path):
    raw = write_table(tmp_path / "raw", table(each=7))
    train, test = (load_digits(find_digits(raw, part)) for part in ("train", "test"))
    assert train.counts == (4,) * 10 and test.counts == (3,) * 10
    for digit_ in range(10):  # the first grey value counts a digit's rows: 16 is white, and the corner of the ink
        grey = [np.rint(number * 255 / 16) for number in range(7)]
        np.testing.assert_array_equal(train.images[digit_][:, 4, 4], grey[:4])
        np.testing.assert_array_equal(test.images[digit_][:, 4, 4], grey[4:])
        margin = train.images[digit_].copy()
        margin[:, 4:24, 4:24] = 0
        assert not margin.any()
    # linear between the centres of small pixels: 2.5 large ones are a small one
    small = table(each=1)[4, :-1].reshape(8, 8) * 255 / 16
    at = np.clip((np.arange(20) + 0.5) * 8 / 20 - 0.5, 0, 7)
    weights = np.maximum(0, 1 - np.abs(at[:, None] - np.arange(8)))
    np.testing.assert_allclose(train.images[4][0, 4:24, 4:24], weights @ small @ weights.T, atol=0.51)
    assert build(raw, "--out", tmp_path / "out", *QUICK, "--workers", 1, command="digit-anatomy").status == 0
    ran = build(raw, "--test", "--out", tmp_path / "truth", "--workers", 1, command="digit-anatomy")
    assert ran.status == 0 and "digits: 30 of digits.csv.gz" in ran.err


def test_a_file_that_is_missing_is_named(tmp_path):
    raw = write_npz(write_idx(tmp_path / "raw"))  # idx files go before the archive, and are not mixed with it
    gone = ["t10k-labels-idx1-ubyte", "train-images-idx3-ubyte"]
    (raw / gone[0]).unlink()
    ran = build(raw, "--test", "--out", tmp_path / "t", command="digit-anatomy")
    assert ran.status == 2 and f"{raw / gone[0]}: this file of the digits is missing" in ran.error
    dry = build(raw, "--out", tmp_path / "d", "--dry-run", *QUICK, "--workers", 1, command="digit-anatomy")
    assert dry.status == 0 and "rows: 6 healthy" in dry.out
    (raw / gone[1]).unlink()
    ran = build(raw, "--out", tmp_path / "d", command="digit-anatomy")
    assert ran.status == 2 and f"{raw / gone[1]}: this file of the digits is missing" in ran.error
    labels = raw / "train-labels-idx1-ubyte"
    labels.rename(tmp_path / labels.name)
    ran = build(raw, "--out", tmp_path / "d", command="digit-anatomy")
    assert ran.status == 2 and f"{raw / gone[1]}: this file of the digits is missing" in ran.error
    (tmp_path / labels.name).rename(labels)
    (raw / "train-images-idx3-ubyte.gz").symlink_to(write_idx(tmp_path / "else", packed=True) / f"{gone[1]}.gz")
    ran = build(raw, "--out", tmp_path / "d", command="digit-anatomy")
    assert ran.status == 2 and "leads out of" in ran.error and not (tmp_path / "d").exists()


IMAGES, LABELS = "train-images-idx3-ubyte", "train-labels-idx1-ubyte"
PIXELS, NAMES = (idx(array) for array in rows("train"))
WRONG_IDX = [
    (IMAGES, b"", "must be an idx file of 3 axes"),
    (IMAGES, PIXELS[:9], "must be an idx file of 3 axes"),
    (IMAGES, NAMES, "must be an idx file of 3 axes"),
    (IMAGES, b"\0\0\x0d" + PIXELS[3:], "must be an idx file of 3 axes"),
    (IMAGES, PIXELS[:-1], "must hold the 31360 bytes that its header declares, got 31359"),
    (IMAGES, PIXELS + b"\0", "must hold the 31360 bytes that its header declares, got more"),
    (IMAGES, PIXELS[:4] + struct.pack(">3I", 2**32 - 1, 28, 28), "at most 4 GiB are read"),
    (IMAGES, PIXELS[:4] + struct.pack(">3I", 40, 2**32 - 1, 2**32 - 1), "at most 4 GiB are read"),
    (IMAGES, PIXELS[:4] + struct.pack(">3I", 0, 28, 28), "at least one"),
    (IMAGES, idx(rows("train")[0][:, 1:]), "must be 28 x 28 pixels"),
    (LABELS, PIXELS, "must be an idx file of 1 axes"),
    (LABELS, idx(rows("train")[1][:-1]), "every digit must have a label"),
    (LABELS, idx(rows("train")[1] + 1), "labels must be the digits 0 to 9"),
    (LABELS, idx(rows("train")[1] // 2), "must have every digit in its train part, got no 5"),
]


@pytest.mark.parametrize(("name", "content", "message"), WRONG_IDX)
def test_idx_files_that_are_none_are_refused(tmp_path, name, content, message):
    for packed in (False, True):
        raw = write_idx(tmp_path / str(packed), packed=packed)
        path = raw / f"{name}.gz" if packed else raw / name
        path.write_bytes(gzip.compress(content) if packed else content)
        refused(raw, message)
    if len(content) > 100:
        path.write_bytes(path.read_bytes()[:-20])
        refused(raw, "")


def refused(raw, message, *options):
    ran = build(raw, "--out", raw / "data", *options, command="digit-anatomy")
    assert ran.status == 2 and message in ran.error and str(raw) in ran.error and not (raw / "data").exists()


def npy(declared, content=b"", version=(1, 0)):
    """An array's file with any header."""
    header = repr(declared) if not isinstance(declared, str) else declared
    text = header.encode() + b"\n"
    return b"\x93NUMPY" + bytes(version) + struct.pack("<H" if version == (1, 0) else "<I", len(text)) + text + content


def declared(shape, dtype="|u1"):
    return {"descr": dtype, "fortran_order": False, "shape": shape}


WRONG_MEMBERS = [
    (npy(declared((10**9, 28, 28))), "at most 4 GiB are read"),
    (npy(declared((2**40, 2**40))), "at most 4 GiB are read"),
    (npy(declared((40, 28, 28)), b"\0" * 100), "must hold the 31360 bytes that its header declares, got 100"),
    (npy(declared((40, 28, 28)), b"\0" * 31361), "must hold the 31360 bytes that its header declares, got more"),
    (npy(declared((40, 28, 28), "|O"), b"cos\nsystem\n(S'touch pwned'\ntR."), "must hold whole numbers, got object"),
    (npy(declared((40, 28, 28), "<f4"), b"\0" * 4 * 31360), "must hold whole numbers, got float32"),
    (npy(declared((40, 28, 28), "<u2"), b"\0" * 2 * 31360), "must be 28 x 28 pixels of 8 bits"),
    (npy(declared((40, 784)), b"\0" * 31360), "must be 28 x 28 pixels of 8 bits"),
    (npy(declared(()), b"\0"), "at least one"),
    (npy(declared((-40, 28, 28)), b""), "at least one"),
    (npy(declared((40, 28, 28)), b"", (7, 7)), "cannot be read"),
    (npy("{" * 5000), "cannot be read"),
    (npy("__import__('os').system('touch pwned')"), "cannot be read"),
    (b"\x93NUM", "cannot be read"),
    (None, "cannot be read"),
]


@pytest.mark.parametrize(("member", "message"), WRONG_MEMBERS)
def test_archives_that_hold_no_digits_are_refused(tmp_path, member, message, monkeypatch):
    monkeypatch.chdir(tmp_path)
    raw = write_npz(tmp_path / "raw")
    with zipfile.ZipFile(raw / "mnist.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        for name, array in arrays().items():
            buffer = io.BytesIO()
            np.save(buffer, array)
            content = member if name == "x_train" else buffer.getvalue()
            if content is not None:
                archive.writestr(f"{name}.npy", content)
    refused(raw, message)
    assert not (tmp_path / "pwned").exists()


def test_damaged_archives_are_refused(tmp_path):
    raw = write_npz(tmp_path / "raw")
    whole = (raw / "mnist.npz").read_bytes()
    spoilt = bytearray(whole)
    spoilt[200:260] = bytes(60)
    for content in (b"", b"PK", whole[: len(whole) // 2], bytes(spoilt)):
        (raw / "mnist.npz").write_bytes(content)
        refused(raw, "the digits cannot be read")
    write_npz(raw, x_test=np.array([[None]], dtype=object))
    refused(raw, "x_test must hold whole numbers, got object", "--test")


def changed_table(row, column, value):
    content = table()
    content[row, column] = value
    return content


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (table()[:, 1:], "64 grey values and a label"),
        ("\n", "64 grey values and a label"),
        (changed_table(3, 5, 17), "grey values must be from 0 to 16"),
        (changed_table(3, 5, -1), "grey values must be from 0 to 16"),
        (changed_table(3, 64, 11), "labels must be the digits 0 to 9"),
        (changed_table(slice(None, None, 10), 64, 1), "got no 0"),
        ("1,2\n3\n", "cannot be read"),
        ("a,b\n", "cannot be read"),
        (",".join(["nan"] * 65), "grey values must be from 0 to 16"),
        ("\u00e9,1\n", "cannot be read"),
        ("0," * 2**23 + "0\n", "at most 16 MiB"),
    ],
)
def test_tables_that_hold_no_digits_are_refused(tmp_path, content, message):
    raw = write_table(tmp_path / "raw", content)
    refused(raw, message)
    (raw / "digits.csv.gz").write_bytes((raw / "digits.csv.gz").read_bytes()[:-9])
    refused(raw, "")
