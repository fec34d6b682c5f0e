"""The MONAI transforms, by what MONAI asks of its own: seeds, workers, caches, metadata, lazy composition, copies."""

import copy
import pickle

import numpy as np
import pytest
import torch
from phantoms import ellipsoid, field, phantom

from synthanom import Mixture, Recipe, Sample, SynthanomError, replay, synthesise, tasks
from synthanom.errors import NormalisationWarning
from synthanom.labels import FlippedGaussian
from synthanom.recipe import SynthesisOptions
from synthanom.streams import stream

pytest.importorskip("monai", reason="needs the extra `monai`")

from monai.data import CacheDataset, DataLoader, Dataset, MetaTensor, ThreadDataLoader, set_track_meta
from monai.transforms import Compose, Flip, Flipd, OneOf, RandFlipd, RandScaleIntensityd, Rotate90d, Zoomd

from synthanom.integrations.monai import RandSynthesise, RandSynthesised

pytestmark = pytest.mark.usefixtures("one_thread")

SHAPE = (24, 28)
TWO = Mixture(tasks=[tasks.Sink(), tasks.SmoothIntensity()])
AFFINE = np.diag([2.0, 3.0, 4.0, 1.0])


def item(number: int = 0, shape=SHAPE):
    image = field(shape, 1, number)
    return {"image": image, "id": f"case-{number}", "subject": f"p-{number}", "mask": ellipsoid(shape)[None]}


def items(count: int = 6):
    return [item(number) for number in range(count)]


def equal(first, second):
    return np.array_equal(np.asarray(first), np.asarray(second))


def test_the_array_transform_gives_image_and_label_of_a_seed_drawn_by_monai():
    transform = RandSynthesise(tasks.Sink()).set_random_state(7)
    image, label = transform(item()["image"])
    seed = int(np.random.RandomState(7).randint(2**32, dtype="uint32"))
    sample = Sample.from_array(item()["image"])
    expected = synthesise(sample, tasks.Sink(), FlippedGaussian(), rng=stream(seed, "sample", "sink", "once"))
    assert equal(image, expected.image) and equal(label, expected.label[None])
    assert image.shape == (1, *SHAPE) and label.shape == (1, *SHAPE)
    assert image.dtype == label.dtype == torch.float32


def test_array_and_dictionary_draw_alike():
    data = {"image": item()["image"]}
    image, label = RandSynthesise(TWO).set_random_state(3)(data["image"])
    made = RandSynthesised("image", TWO).set_random_state(3)(data)
    assert equal(image, made["image"]) and equal(label, made["label"])


def test_the_last_draw_can_be_used_again():
    transform = RandSynthesise(tasks.Sink())
    first = transform(item()["image"])
    assert equal(first[0], transform(item()["image"], randomize=False)[0])
    assert not equal(first[0], transform(item()["image"])[0])


def test_compose_is_reproducible_by_its_seed():
    def pipeline(seed):
        steps = [
            RandScaleIntensityd("image", 0.1, prob=1),
            RandSynthesised("image", TWO),
            RandSynthesised("image", TWO),
        ]
        return Compose(steps).set_random_state(seed)

    first, again, other = (pipeline(seed)(item()) for seed in (0, 0, 1))
    assert equal(first["image"], again["image"]) and equal(first["label"], again["label"])
    assert not equal(first["image"], other["image"])
    transform = RandSynthesised("image", TWO).set_random_state(0)
    assert not equal(transform(item())["image"], transform(item())["image"])


def test_everything_asked_for_is_written_and_the_input_is_not():
    data = item()
    before = copy.deepcopy(data)
    transform = RandSynthesised("image", TWO, foreground_key="mask", region_key="region", recipe_key="recipe")
    made = transform.set_random_state(1)(data)
    assert list(data) == list(before) and all(equal(data[key], before[key]) for key in ("image", "mask"))
    assert made["region"].dtype == torch.bool and made["region"].shape == made["label"].shape == (1, *SHAPE)
    sample = Sample.from_array(data["image"], data["mask"][0], id="case-0", subject="p-0")
    again = replay(sample, Recipe.from_json(made["recipe"]), FlippedGaussian())
    assert equal(again.image, made["image"]) and equal(again.label[None], made["label"])


def test_the_foreground_is_where_anomalies_are_placed():
    mask = np.zeros((1, 48, 48), bool)
    mask[:, :20, :20] = True
    transform = RandSynthesised("image", tasks.Sink(), foreground_key="mask", region_key="region").set_random_state(0)
    for number in range(5):
        region = np.asarray(transform({"image": field((48, 48), 1, number), "mask": mask})["region"])
        assert (region & mask).sum() > 0
    with pytest.raises(KeyError, match="mask"):
        transform({"image": field((48, 48))})
    RandSynthesised("image", tasks.Sink(), foreground_key="mask", allow_missing_keys=True)({"image": field((48, 48))})


@pytest.mark.parametrize("inside_only", [False, True])
def test_anomalies_keep_to_the_location_prior(inside_only):
    prior = np.zeros((1, 48, 48), np.uint8)
    prior[:, 24:, 24:] = 3
    mixture = Mixture(tasks=[tasks.Sink()], options=SynthesisOptions(inside_only=inside_only))
    keyed = RandSynthesised("image", mixture, within_key="lesion", region_key="region").set_random_state(0)
    plain = RandSynthesise(mixture).set_random_state(0)
    for number in range(5):
        image = field((48, 48), 1, number)
        made = keyed({"image": image, "lesion": prior})
        region, changed = np.asarray(made["region"]), np.asarray(made["image"]) != image
        assert 2 * (region & (prior > 0)).sum() >= region.sum() > 0
        assert not (inside_only and changed[prior == 0].any())
        assert equal(plain(image, within=prior[0])[0], made["image"])
    with pytest.raises(KeyError, match="lesion"):
        keyed({"image": field((48, 48))})


def test_without_an_anomaly_there_are_zeros():
    transform = RandSynthesised("image", TWO, prob=0, region_key="region", recipe_key="recipe")
    made = transform(item())
    assert equal(made["image"], item()["image"]) and made["image"].dtype == torch.float32
    assert not made["label"].any() and not made["region"].any() and made["recipe"] == ""
    transform = RandSynthesised("image", TWO, prob=0.5).set_random_state(0)
    ill = sum(bool(transform(item())["label"].any()) for _ in range(60))
    assert transform.prob == 0.5 and 15 < ill < 45
    image, label = RandSynthesise(TWO, prob=0)(item()["image"])
    assert equal(image, item()["image"]) and not label.any()


def test_affine_and_metadata_are_kept_and_spacing_is_the_affines(monkeypatch):
    seen = []
    make = Mixture.make
    monkeypatch.setattr(Mixture, "make", lambda self, sample, **draw: seen.append(sample) or make(self, sample, **draw))
    volume = MetaTensor(torch.from_numpy(field((14, 16, 18))), affine=torch.from_numpy(AFFINE), meta={"who": "p-1"})
    made = RandSynthesised("image", TWO)({"image": volume, "id": "a"})
    picture = MetaTensor(torch.from_numpy(field(SHAPE)), affine=torch.from_numpy(AFFINE))
    image, label = RandSynthesise(TWO)(picture)
    for tensor in (made["image"], made["label"], image, label):
        assert isinstance(tensor, MetaTensor) and equal(tensor.affine, AFFINE)
    assert made["image"].meta["who"] == made["label"].meta["who"] == "p-1"
    RandSynthesise(TWO)(field(SHAPE))
    assert [sample.spacing for sample in seen] == [(2.0, 3.0, 4.0), (2.0, 3.0), None]


def test_without_tracking_there_are_plain_tensors():
    set_track_meta(False)
    try:
        made = RandSynthesised("image", TWO)(item())
    finally:
        set_track_meta(True)
    assert type(made["image"]) is torch.Tensor and type(made["label"]) is torch.Tensor


def test_several_images_get_the_anomaly_at_the_same_place():
    data = {"t1": field(SHAPE, 1, 0), "t2": field(SHAPE, 2, 1)}
    transform = RandSynthesised(["t1", "t2"], tasks.Sink(), label_key="where", region_key="region")
    made = transform.set_random_state(2)(data)
    assert made["t1"].shape == (1, *SHAPE) and made["t2"].shape == (2, *SHAPE)
    for key in data:
        changed = np.asarray(made[key]) != data[key]
        assert changed.any() and not changed[:, ~np.asarray(made["region"])[0]].any()
    lone = RandSynthesise(tasks.Sink()).set_random_state(2)(np.concatenate(list(data.values())))
    assert equal(torch.cat([made["t1"], made["t2"]]), lone[0]) and equal(made["where"], lone[1])


def test_images_of_different_grids_are_refused():
    with pytest.raises(SynthanomError, match="one grid"):
        RandSynthesised(["a", "b"], TWO)({"a": field((24, 24)), "b": field((24, 28))})
    shifted = AFFINE.copy()
    shifted[0, 3] = 5
    pair = {
        "a": MetaTensor(torch.from_numpy(field(SHAPE)), affine=torch.from_numpy(AFFINE)),
        "b": MetaTensor(torch.from_numpy(field(SHAPE)), affine=torch.from_numpy(shifted)),
    }
    with pytest.raises(SynthanomError, match="one affine"):
        RandSynthesised(["a", "b"], TWO)(pair)


@pytest.mark.parametrize("dtype", [np.float64, np.float16, np.int16, np.uint8])
def test_other_dtypes_become_float32(dtype):
    values = (field(SHAPE) * 2 + 10).astype(dtype)
    image, label = RandSynthesise(tasks.Sink())(values)
    assert image.dtype == label.dtype == torch.float32


def test_images_that_are_not_normalised_are_told():
    with pytest.warns(NormalisationWarning, match="normalise"):
        RandSynthesise(tasks.Sink())(field(SHAPE) * 100)


def test_donors_of_the_own_subject_are_not_borrowed_from():
    donors = [phantom(SHAPE, 1, 1, name="p-0"), phantom(SHAPE, 1, 2, name="p-9")]
    transform = RandSynthesised("image", Mixture(tasks=[tasks.IntraBlend()], donors=donors), recipe_key="recipe")
    for _ in range(10):
        recipe = Recipe.from_json(transform(item())["recipe"])
        assert {anomaly.donor.id for anomaly in recipe.anomalies} == {"p-9"}


def test_with_a_seed_pictures_depend_on_id_and_epoch_alone():
    transform = RandSynthesised("image", TWO, seed=5)
    first = transform(item())
    transform.set_random_state(1)
    assert equal(first["image"], transform(item())["image"])
    expected = TWO.make(Sample.from_array(item()["image"], id="case-0"), seed=5, draw="epoch-0")
    assert equal(first["image"], expected.image)
    copied = copy.deepcopy(transform)
    transform.set_epoch(1)
    assert not equal(first["image"], transform(item())["image"])
    assert equal(copied(item())["image"], transform(item())["image"])
    with pytest.raises(SynthanomError, match="id_key"):
        transform({"image": item()["image"]})


def loaded(loader):
    return torch.cat([torch.as_tensor(np.asarray(batch["image"])) for batch in loader])


@pytest.mark.parametrize("context", ["fork", pytest.param("spawn", marks=pytest.mark.slow)])
def test_with_a_seed_workers_change_nothing_and_see_later_epochs(context):
    transform = RandSynthesised("image", TWO, seed=5)
    data = Dataset(items(4), Compose([transform]))
    loader = DataLoader(
        data,
        batch_size=2,
        num_workers=1 + (context == "fork"),
        persistent_workers=True,
        multiprocessing_context=context,
    )
    for epoch in (0, 1):
        transform.set_epoch(epoch)
        expected = torch.stack([torch.as_tensor(np.asarray(transform(one)["image"])) for one in items(4)])
        assert torch.equal(loaded(loader), expected)
    assert torch.equal(loaded(DataLoader(data, batch_size=2)), expected)


def test_every_worker_and_epoch_draws_something_else():
    same = [item(0) for _ in range(4)]
    loader = DataLoader(Dataset(same, Compose([RandSynthesised("image", tasks.Sink())])), batch_size=1, num_workers=2)
    seen = [image.numpy().tobytes() for _ in range(2) for image in loaded(loader)]
    assert len(set(seen)) == len(seen) == 8


def test_workers_are_reproducible_by_the_loaders_generator():
    def epoch(seed):
        data = Dataset(items(4), Compose([RandSynthesised("image", tasks.Sink())]))
        return loaded(DataLoader(data, batch_size=2, num_workers=2, generator=torch.Generator().manual_seed(seed)))

    first, again, other = (epoch(seed) for seed in (1, 1, 2))
    assert torch.equal(first, again) and not torch.equal(first, other)


def test_caches_hold_what_comes_before_and_threads_may_work():
    pipeline = Compose([Flipd("image", 0), RandSynthesised("image", tasks.Sink(), recipe_key="recipe")])
    data = CacheDataset(items(), pipeline, progress=False, num_workers=2)
    assert equal(data._cache[0]["image"], item()["image"][:, ::-1]) and "label" not in data._cache[0]
    first, second = (loaded(DataLoader(data, batch_size=3)) for _ in range(2))
    assert not torch.equal(first, second)
    assert equal(data._cache[0]["image"], item()["image"][:, ::-1])
    threaded = ThreadDataLoader(data, batch_size=3, num_workers=0)
    assert loaded(threaded).shape == (6, 1, *SHAPE)
    batch = next(iter(threaded))
    assert len(batch["recipe"]) == 3 and batch["label"].shape == (3, 1, *SHAPE)


def test_lazy_composition_is_resolved_first():
    def pipeline(lazy):
        steps = [
            Rotate90d(["image", "mask"], k=1),
            Zoomd(["image", "mask"], zoom=1.5, mode=["bilinear", "nearest"], keep_size=False),
            RandSynthesised("image", TWO, foreground_key="mask"),
            RandFlipd(["image", "label"], prob=1.0, spatial_axis=0),
        ]
        return Compose(steps, lazy=lazy).set_random_state(0)

    data = item()
    data["mask"] = data["mask"].astype(np.float32)
    lazy, eager = pipeline(True)(data), pipeline(False)(data)
    assert lazy["image"].shape == lazy["label"].shape == (1, 42, 36) == eager["image"].shape
    assert lazy["label"].max() > 0 and not lazy["image"].pending_operations
    assert equal(lazy["image"].affine, lazy["label"].affine)


def test_the_inverse_of_a_pipeline_leaves_the_anomaly_in():
    pipeline = Compose([Flipd("image", 0), RandSynthesised("image", tasks.Sink())]).set_random_state(0)
    made = pipeline(item())
    back = pipeline.inverse(made)
    assert equal(back["image"], made["image"].flip(1)) and not equal(back["image"], item()["image"])
    assert not hasattr(RandSynthesised("image", TWO), "inverse")


def test_other_compositions_take_it():
    one = OneOf([RandSynthesised("image", tasks.Sink()), RandSynthesised("image", tasks.Source())])
    assert one.set_random_state(0)(item())["label"].max() > 0
    image, label = Compose([RandSynthesise(tasks.Sink()), Flip(0)]).set_random_state(0)(item()["image"])
    assert image.shape == label.shape == (1, *SHAPE)


@pytest.mark.parametrize("transform", [RandSynthesise(TWO), RandSynthesised("image", TWO)], ids=["array", "dictionary"])
def test_pickles_and_copies_draw_on_alike(transform):
    transform.set_random_state(4)
    given = item()["image"] if isinstance(transform, RandSynthesise) else item()
    copies = [pickle.loads(pickle.dumps(transform)), copy.deepcopy(transform), transform]
    made = [each(given) for each in copies]
    key = 0 if isinstance(transform, RandSynthesise) else "image"
    assert equal(made[0][key], made[1][key]) and equal(made[0][key], made[2][key])
    assert copies[1].mixture is transform.mixture


def test_an_item_without_images_is_left_alone():
    transform = RandSynthesised("image", TWO, allow_missing_keys=True)
    assert transform({"other": 1}) == {"other": 1}
    with pytest.raises(KeyError, match="image"):
        RandSynthesised("image", TWO)({"other": 1})
