"""Leaks: each kind planted and found, none in clean data, look-alikes told from others."""

import hashlib
import io
import itertools
import json

import numpy as np
import pytest
from leaky_data import picture, sample, spread, write
from phantoms import ellipsoid
from PIL import Image
from scipy import ndimage

from synthanom.arrays import canonical_json
from synthanom.description import describe
from synthanom.errors import SynthanomError
from synthanom.leaks import KINDS, NEAR, hashing, perceptual_hash
from synthanom.leaks.hashing import nearest


def kinds(found):
    return [leak.kind for leak in found.leaks]


def named(found):
    """Kinds with the ids or subjects of both ends."""
    return [(k.kind, k.first.id or k.first.subject, k.second.id or k.second.subject) for k in found.leaks]


def apart(count=6, first=0, **how):
    return [sample(f"case-{i}", picture(i, **how), subject=f"p-{i}") for i in range(first, first + count)]


def edit(folder, change):
    """Edit dataset.json as text, its digest brought up to date."""
    path = folder / "dataset.json"
    content = json.loads(path.read_text())
    content.pop("digest")
    text = change(json.dumps(content))
    parsed = json.loads(text)
    digest = hashlib.sha256(canonical_json(parsed)).hexdigest()
    path.write_text(f'{text[:-1]}, "digest": "{digest}"}}')


@pytest.mark.parametrize("shape", [(32, 36), (16, 18, 20)], ids=["2d", "3d"])
@pytest.mark.parametrize("channels", [1, 2])
def test_clean_data_sets_have_none(tmp_path, shape, channels):
    data = write(tmp_path / "train", spread(apart(shape=shape, channels=channels)))
    test = write(tmp_path / "test", spread(apart(first=10, shape=shape, channels=channels)))
    assert describe(data, [test]).leaks == ()


def test_a_subject_in_two_folds_by_spelling_or_by_naming_it_twice(tmp_path):
    samples = apart(4)
    plan = spread([*samples, sample("case-9", picture(9), subject="P-0 ")])
    plan.folds["P-0 "] = 1
    found = describe(write(tmp_path / "spelled", plan))
    assert named(found) == [("subject-in-two-folds", "P-0 ", "p-0")]
    assert str(found.leaks[0]) == "one subject in two folds: subject 'P-0 ' (fold 1) and subject 'p-0' (fold 0)"
    twice = write(tmp_path / "twice", spread(samples))
    edit(twice, lambda text: text.replace('"p-0": 0', '"p-0": 1, "p-0": 0'))
    assert named(describe(twice)) == [("subject-in-two-folds", "p-0", "p-0")]


def test_an_id_in_two_folds(tmp_path):
    samples = [*apart(4), sample("case-0", picture(9), subject="p-9")]
    plan = spread(samples)
    plan.folds["p-9"] = 1
    assert named(describe(write(tmp_path / "d", plan))) == [("id-in-two-folds", "case-0", "case-0")]


def test_copies_across_folds_but_not_within(tmp_path):
    samples = apart(4)  # folds 0, 1, 0, 1
    again = [sample(f"again-{i}", samples[0].image, subject=f"q-{i}") for i in range(2)]  # folds 0 and 1
    found = describe(write(tmp_path / "d", spread([*samples, *again])))
    assert named(found) == [("identical-images", "case-0", "again-1")]
    masked = sample("masked", samples[0].image, subject="q-1", foreground=ellipsoid(samples[0].shape))
    found = describe(write(tmp_path / "m", spread([*samples, again[0], masked])))
    assert named(found) == [("identical-images", "case-0", "masked")]  # whatever the foreground


def test_look_alikes_across_folds_but_not_within(tmp_path):
    samples = apart(4)
    noise = 0.1 * np.random.default_rng(0).standard_normal(samples[0].image.shape).astype(np.float32)
    like = [sample(f"like-{i}", samples[0].image + (i + 1) * noise, subject=f"q-{i}") for i in range(2)]
    found = describe(write(tmp_path / "d", spread([*samples, *like])))  # like-0 in fold 0, like-1 in fold 1
    assert set(kinds(found)) == {"near-identical-images"}
    assert {name[1:] for name in named(found)} == {("case-0", "like-1"), ("like-0", "like-1")}
    assert all(0 <= leak.distance <= NEAR for leak in found.leaks)


def test_every_channel_must_look_alike(tmp_path):
    first, second = picture(0), picture(1)
    other = picture(2)
    rows = [sample("a", np.concatenate([first, second])), sample("b", np.concatenate([first, other]))]
    rows.append(sample("c", np.concatenate([other, second])))
    assert describe(write(tmp_path / "d", spread(rows, folds=3))).leaks == ()
    rows.append(sample("d", rows[0].image * 2 + 1))
    assert named(describe(write(tmp_path / "e", spread(rows, folds=4)))) == [("near-identical-images", "a", "d")]


def test_train_against_test(tmp_path):
    train = write(tmp_path / "train", spread(apart(6)))
    rows = [
        sample("new", picture(20), subject="p-1"),  # a subject
        sample("case-2", picture(21), subject="q"),  # an id
        sample("case-5", picture(23), subject="p-5"),  # both: said once
        sample("copy", picture(3), subject="r"),
        sample("flipped", picture(4)[:, ::-1], subject="s"),
        sample("fine", picture(22), subject="t"),
    ]
    test = write(tmp_path / "test", spread(rows))
    assert named(describe(train, [test])) == [
        ("subject-in-both", "p-1", "p-1"),
        ("subject-in-both", "p-5", "p-5"),
        ("id-in-both", "case-2", "case-2"),
        ("identical-images", "case-3", "copy"),
        ("near-identical-images", "case-4", "flipped"),
    ]
    assert [k for k in kinds(describe(train, [test], quick=True)) if "images" in k] == []
    second = write(tmp_path / "fine", spread(apart(2, first=30)))
    found = describe(train, [second, test])
    assert len(found.leaks) == 5 and found.against == (second, test)


def test_other_sizes_are_compared_other_channels_are_not(tmp_path):
    train = write(tmp_path / "train", spread(apart(4)))
    larger = ndimage.zoom(picture(0), (1, 2, 1.5), order=1, grid_mode=True, mode="nearest")
    test = write(tmp_path / "test", spread([sample("larger", larger), sample("other", np.flip(larger + 1, 1).copy())]))
    assert "near-identical-images" in kinds(describe(train, [test]))
    two = write(tmp_path / "two", spread([sample("both", np.concatenate([picture(0), picture(0)]))], folds=1))
    found = describe(train, [two])
    assert found.leaks == () and "2 axes and 2 channels, not 2 and 1" in found.notes[0]


def donor(name, digest="0" * 64, where="others"):
    return {"set": where, "id": name, "sha256": digest}


def test_donors_that_are_tested_on(tmp_path):
    rows = apart(4)
    test_rows = [sample("t-0", picture(20), subject="q-0"), sample("t-1", picture(21), subject="q-1")]
    test_rows.append(sample("t-2", picture(22), subject="q-2"))
    test = write(tmp_path / "test", spread(test_rows))
    donors = {("inter_blend", 0): donor("elsewhere", test_rows[1].sha256), ("inter_blend", 1): donor("t-2")}
    plan = spread(rows, donors=donors, donor_folds={"Q-0": 0, "fine": 1})
    found = describe(write(tmp_path / "train", plan), [test])
    assert named(found) == [
        ("donor-in-test", "Q-0", "q-0"),  # the subject, from the manifest
        ("donor-in-test", "elsewhere", "t-1"),  # the image, by its digest
        ("donor-in-test", "t-2", "t-2"),
    ]
    assert found.leaks[0].first.data == "others"


def test_donors_that_serve_another_fold(tmp_path):
    rows = apart(4)  # folds 0, 1, 0, 1
    donors = {
        ("intra_blend", 0): donor("case-2", where="own"),
        ("intra_blend", 1): donor("case-0", where="own"),  # fold 1 borrows from fold 0
        ("inter_blend", 0): donor("shared"),
        ("inter_blend", 3): donor("shared"),  # both folds
        ("inter_blend", 1): donor("dealt"),  # dealt to fold 0
        ("inter_blend", 2): donor("twin", rows[1].sha256),  # an image of fold 1
    }
    plan = spread(rows, donors=donors, donor_folds={"dealt": 0, "p-3": 0, "p-2": 0})  # p-3 is a subject of fold 1
    found = describe(write(tmp_path / "d", plan))
    assert sorted(named(found)) == sorted(
        ("donor-in-two-folds", *ends)
        for ends in (("p-3", "p-3"), ("case-0", "case-0"), ("shared", "shared"), ("dealt", "dealt"), ("twin", "case-1"))
    )
    textures = {("inter_blend", i): donor("texture-1", where="textures") for i in range(4)}
    from synthanom.textures import SET_NAME

    textures = {key: {**value, "set": SET_NAME} for key, value in textures.items()}
    assert describe(write(tmp_path / "t", spread(rows, donors=textures))).leaks == ()


def test_every_kind_has_a_sentence_and_json(tmp_path):
    samples = apart(4)
    found = describe(write(tmp_path / "d", spread([*samples, sample("a", samples[1].image, subject="q")])))
    (leak,) = found.leaks
    assert leak.to_dict() == {
        "kind": "identical-images",
        "text": "identical images: image 'case-1' of subject 'p-1' (fold 1) and image 'a' of subject 'q' (fold 0)",
        "first": {"data": str(tmp_path / "d"), "id": "case-1", "subject": "p-1", "fold": 1},
        "second": {"data": str(tmp_path / "d"), "id": "a", "subject": "q", "fold": 0},
        "distance": None,
    }
    assert all("{first}" in sentence and "{second}" in sentence for sentence in KINDS.values())


def test_refuses_what_cannot_be_judged(tmp_path):
    plan = spread(apart(3))
    del plan.folds["p-1"]
    with pytest.raises(SynthanomError, match=r"every subject needs a fold, got none for 'p-1'"):
        describe(write(tmp_path / "d", plan))
    data = write(tmp_path / "own", spread(apart(3)))
    with pytest.raises(SynthanomError, match="another data set"):
        describe(data, [tmp_path / "own" / "."])
    broken = spread(apart(3), donors={("inter_blend", 1): "nobody"})
    with pytest.raises(SynthanomError, match="inter_blend row 1 must be a JSON object that names its donors"):
        describe(write(tmp_path / "b", broken))


def compressed(image):
    low, high = image.min(), image.max()
    stream = io.BytesIO()
    Image.fromarray(np.uint8(255 * (image[0] - low) / (high - low))).save(stream, "JPEG", quality=50)
    return np.asarray(Image.open(stream), dtype=np.float32)[None] / 255 * (high - low) + low


VARIANTS = {
    "shifted": lambda x: ndimage.shift(x, (0, *(0.007 * n for n in x.shape[1:])), order=1, mode="nearest"),
    "scaled": lambda x: ndimage.zoom(x, (1, *(1.3 for _ in x.shape[1:])), order=1, grid_mode=True, mode="nearest"),
    "noised": lambda x: x + 0.2 * np.random.default_rng(1).standard_normal(x.shape),
    "brightened": lambda x: np.exp(0.3 * x),
    "blurred": lambda x: ndimage.gaussian_filter(x, (0, *(1 for _ in x.shape[1:]))),
    "mirrored": lambda x: x[..., ::-1],
    "upside down": lambda x: x[:, ::-1],
    "turned by half": lambda x: np.flip(x, tuple(range(1, x.ndim))),
}


@pytest.mark.parametrize("shape", [(96, 80), (40, 36, 44)], ids=["2d", "3d"])
@pytest.mark.parametrize("name", [*VARIANTS, "compressed"])
def test_look_alikes_are_near_and_others_are_not(shape, name):
    if name == "compressed" and len(shape) == 3:
        pytest.skip("JPEG is for pictures")
    change = VARIANTS.get(name, compressed)
    images = [ndimage.gaussian_filter(picture(i, shape=shape), (0, *(2 for _ in shape))) for i in range(12)]
    hashes = np.stack([hash_of(image / image.std()) for image in images])
    changed = np.stack([hash_of(np.asarray(change(image / image.std()), dtype=np.float32)) for image in images])
    index, distance = nearest(changed, hashes)
    assert index.tolist() == list(range(12)) and distance.max() <= NEAR
    _, others = nearest(hashes, hashes, np.arange(12))
    assert others.min() > 2 * NEAR


def hash_of(image):
    return perceptual_hash(np.ascontiguousarray(image), np.ones(image.shape[1:], bool))


def test_real_pictures_of_different_subjects_are_not_near(shared_data):
    files = sorted((shared_data / "cxr_kermany224/train/normal").iterdir())[::10]
    images = [np.asarray(Image.open(file).convert("L"), dtype=np.float32)[None] for file in files]
    hashes = np.stack([hash_of(image) for image in images])
    _, distance = nearest(hashes, hashes, np.arange(len(images)))
    assert distance.min() > NEAR
    index, distance = nearest(np.stack([hash_of(compressed(image[..., ::-1])) for image in images[:30]]), hashes)
    assert index.tolist() == list(range(30)) and distance.max() <= NEAR


@pytest.mark.parametrize("shape", [(33, 47), (17, 20, 23)], ids=["2d", "3d"])
def test_hashes_of_mirrored_images_are_those_of_the_mirrorings(shape):
    image = picture(0, shape=shape, channels=2)
    found = hash_of(image)
    flips = itertools.product((0, 1), repeat=len(shape))
    for number, flip in enumerate(flips):
        mirrored = np.flip(image, tuple(1 + axis for axis, on in enumerate(flip) if on))
        differing = np.bitwise_count(found[number] ^ hash_of(mirrored)[0]).sum()
        assert differing <= 2  # rounding may turn a coefficient near 0
    assert found.shape == (2 ** len(shape), 2, {2: 4, 3: 8}[len(shape)])


def test_the_hash_sees_the_foreground_only_and_flat_channels_alike():
    image = picture(0)
    inside = np.pad(image, ((0, 0), (5, 9), (3, 2)), constant_values=-7)
    mask = np.pad(np.ones(image.shape[1:], bool), ((5, 9), (3, 2)))
    assert np.array_equal(perceptual_hash(inside, mask), hash_of(image))
    flat = np.full((1, 20, 20), 0.1, np.float32)
    assert not hash_of(flat).any() and not hash_of(1000 * flat).any()
    rounded = np.nextafter(1000 * flat, np.float32(np.inf), where=picture(0, shape=(20, 20)) > 0, out=1000 * flat)
    assert (rounded != rounded[0, 0, 0]).any() and not hash_of(rounded).any()


def test_the_hash_is_the_sign_of_cosines_of_averages():
    image = picture(3, shape=(64, 96))[0].astype(np.float64)
    averages = image.reshape(32, 2, 32, 3).mean(axis=(1, 3))
    grid = np.arange(32) + 0.5
    expected = []
    for u, v in np.ndindex(16, 16):
        wave = np.outer(np.cos(np.pi * u * grid / 32), np.cos(np.pi * v * grid / 32))
        expected.append(bool((wave * averages).sum() > 0) and (u, v) != (0, 0))
    bits = np.unpackbits(hash_of(image[None].astype(np.float32))[0, 0].view(np.uint8))
    assert bits.astype(bool).tolist() == expected


def plain_distance(mirrorings, upright):
    """Bits that differ, in the worst channel, under the best mirroring."""
    return min(
        max(
            sum(int(a ^ b).bit_count() for a, b in zip(*words, strict=True)) for words in zip(one, upright, strict=True)
        )
        for one in mirrorings
    )


@pytest.mark.parametrize("grouped", [True, False])
def test_nearest_equals_a_plain_loop_whatever_the_block(monkeypatch, grouped):
    rng = np.random.default_rng(0)
    hashes = rng.integers(0, 2**63, (23, 2, 2, 3), dtype=np.uint64)
    others = hashes if grouped else rng.integers(0, 2**63, (17, 2, 2, 3), dtype=np.uint64)
    groups = rng.integers(0, 3, 23) if grouped else None
    expected = []
    for i, one in enumerate(hashes):
        counts = [plain_distance(one, other[0]) for other in others]
        counts = [np.inf if groups is not None and groups[i] == groups[j] else c for j, c in enumerate(counts)]
        expected.append((int(np.argmin(counts)), min(counts) / 191))
    for size in (8, 8 * len(others) * 5, 2**25):
        monkeypatch.setattr(hashing, "BLOCK_BYTES", size)
        index, distance = nearest(hashes, others, groups)
        assert list(zip(index.tolist(), distance.tolist(), strict=True)) == expected
    assert nearest(hashes, hashes, np.zeros(23, np.int64))[1].min() == np.inf


def test_thousands_of_images_are_compared_without_a_loop_over_pairs(monkeypatch):
    """Calls grow with the blocks, not with the images: 2000 are one or two blocks."""
    calls = []
    monkeypatch.setattr(
        hashing, "_differing", lambda *a, plain=hashing._differing: calls.append(len(a[0])) or plain(*a)
    )
    hashes = np.random.default_rng(0).integers(0, 2**63, (2000, 1, 1, 2), dtype=np.uint64)
    nearest(hashes, hashes, np.arange(2000))
    assert sum(calls) == 2000 and len(calls) == 1
