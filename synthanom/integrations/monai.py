"""Random transforms for MONAI pipelines: anomalies and their label in an array, or in the entries of a dictionary."""

from collections.abc import Hashable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor

from synthanom.arrays import as_numpy
from synthanom.datasets import SharedEpoch
from synthanom.errors import MissingExtra, SynthanomError
from synthanom.integrations.contrasts import check_affines, parted, sample_of
from synthanom.mixture import Mixture, as_mixture
from synthanom.sample import Sample
from synthanom.synthesis import Result
from synthanom.tasks.abstract import AbstractTask

try:
    from monai.config.type_definitions import KeysCollection
    from monai.data.meta_obj import get_track_meta
    from monai.data.meta_tensor import MetaTensor
    from monai.transforms.transform import MapTransform, RandomizableTransform
    from monai.utils.enums import TransformBackends
    from monai.utils.misc import MAX_SEED
    from monai.utils.type_conversion import convert_to_dst_type, convert_to_tensor
except ImportError as error:
    raise MissingExtra('transforms for MONAI need monai; pip install "synthanom[monai]"') from error

ONCE = "once"  # the draw's name where MONAI's random state gives a new seed for every picture


class RandSynthesise(RandomizableTransform):
    """Put anomalies into an image: (changed image, label).

    Its random numbers come from MONAI's random state (`set_random_state`), one seed per call. There is no inverse.

    Parameters
    ----------
    mixture : Mixture or AbstractTask
    prob : float, optional
        Probability of an anomaly, the mixture's own by default. Without one the label is zeros.

    Notes
    -----
    In a `Compose` that maps items, transforms after this one are applied to image and label each by itself, with draws
    of their own; where both must be moved alike, use `RandSynthesised`.
    """

    backend = [TransformBackends.NUMPY]  # noqa: RUF012  (MONAI's attribute)

    def __init__(self, mixture: Mixture | AbstractTask, *, prob: float | None = None) -> None:
        self.mixture = _with(mixture, prob)
        self._seed = 0
        RandomizableTransform.__init__(self, self.mixture.probability)

    def randomize(self, data: Any = None) -> None:
        """Draw the seed of the next picture."""
        self._seed = int(self.R.randint(MAX_SEED, dtype="uint32"))

    def __call__(
        self,
        img: npt.NDArray[Any] | Tensor,
        foreground: npt.NDArray[Any] | Tensor | None = None,
        *,
        within: npt.NDArray[Any] | Tensor | None = None,
        id: str = "sample",  # noqa: A002  (as for Sample.from_array)
        subject: str | None = None,
        randomize: bool = True,
    ) -> tuple[Tensor, Tensor]:
        """Make the picture.

        Parameters
        ----------
        img : array, Tensor or MetaTensor of shape (C, *S)
            Normalised. Spacing is taken from a MetaTensor.
        foreground : array (1, *S) or (*S), optional
            Where anomalies may be placed: what is above 0; everywhere by default.
        within : array (1, *S) or (*S), optional
            Location prior: at least half of each anomaly lies where it is above 0.
        id, subject : str, optional
            As for `Sample.from_array`. Give the subject where donors may be of the same one.
        randomize : bool
            Draw a new seed; otherwise the last one is used again.

        Returns
        -------
        image (C, *S), label (1, *S) : float32
            On the device of `img`; MetaTensors with its affine and other data, unless MONAI tracks none.

        Raises
        ------
        SynthanomError
            As `Mixture.make`.
        """
        if randomize:
            self.randomize()
        sample = _sample({"image": img}, foreground, within, id=id, subject=subject)
        result = self.mixture.make(sample, seed=self._seed, draw=ONCE)
        image = _tracked(img)
        return _like(_image(result, sample), image), _like(_label(result, sample)[None], image)


class RandSynthesised(RandomizableTransform, MapTransform):
    """Put anomalies into images of a dictionary, and their label, region and recipe beside them.

    Several images become the channels of one picture: each anomaly sits at the same place in all. There is no inverse:
    `Compose.inverse` leaves the anomalies in.

    Parameters
    ----------
    keys : str or sequence of str
        The images (c, *S), normalised.
    mixture : Mixture or AbstractTask
    prob : float, optional
        Probability of an anomaly, the mixture's own by default. Without one, label and region are zeros and the recipe
        is empty, so that items can be collated.
    seed : int, optional
        None: random numbers come from MONAI's random state (`set_random_state`, the workers of MONAI's `DataLoader`).
        A number: pictures depend on it, the item's id and the epoch (`set_epoch`) alone, for any number of workers and
        any order; MONAI's random state is not used, and every item needs an id.
    foreground_key : str, optional
        Where anomalies may be placed: what is above 0 in this entry, (1, *S) or (*S); everywhere by default.
    within_key : str, optional
        Location prior: at least half of each anomaly lies where this entry, (1, *S) or (*S), is above 0.
    label_key, region_key, recipe_key : str
        Where to put the label, float32 (1, *S); the union of the regions, bool (1, *S), if wanted; the recipe as JSON
        text, if wanted.
    id_key, subject_key : str
        Entries with the item's id and whom it shows, if there are any. Donors of the same subject are not borrowed
        from by `intra_blend`.
    allow_missing_keys : bool
        Go on where images, foreground or prior are missing; an item without any image is returned as it is.
    """

    backend = [TransformBackends.NUMPY]  # noqa: RUF012  (MONAI's attribute)

    def __init__(
        self,
        keys: KeysCollection,
        mixture: Mixture | AbstractTask,
        *,
        prob: float | None = None,
        seed: int | None = None,
        foreground_key: str | None = None,
        within_key: str | None = None,
        label_key: str = "label",
        region_key: str | None = None,
        recipe_key: str | None = None,
        id_key: str = "id",
        subject_key: str = "subject",
        allow_missing_keys: bool = False,
    ) -> None:
        MapTransform.__init__(self, keys, allow_missing_keys)
        self.mixture = _with(mixture, prob)
        RandomizableTransform.__init__(self, self.mixture.probability)
        self.seed = seed
        self.foreground_key, self.within_key = foreground_key, within_key
        self.label_key, self.region_key, self.recipe_key = label_key, region_key, recipe_key
        self.id_key, self.subject_key = id_key, subject_key
        self.epoch = SharedEpoch()
        self._seed = 0

    def set_epoch(self, epoch: int) -> None:
        """Make other pictures from now on, in every worker; of effect only with a `seed`."""
        self.epoch.set(epoch)

    def randomize(self, data: Any = None) -> None:
        """Draw the seed of the next picture."""
        self._seed = int(self.R.randint(MAX_SEED, dtype="uint32"))

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """A copy of `data` with the changed images and what belongs to them, all float32 but the region.

        Raises
        ------
        KeyError
            If an image, the foreground or the prior is missing.
        SynthanomError
            As `Mixture.make`; images of different grids; no id where a `seed` is given.
        """
        found = dict(data)
        images = {str(key): found[key] for key in self.key_iterator(found)}
        if not images:
            return found
        masks = (self._mask(found, key) for key in (self.foreground_key, self.within_key))
        sample = _sample(images, *masks, id=self._id(found), subject=found.get(self.subject_key))
        if self.seed is None:
            self.randomize()
            result = self.mixture.make(sample, seed=self._seed, draw=ONCE)
        else:
            result = self.mixture.make(sample, seed=self.seed, draw=self.epoch.draw)
        tracked = {name: _tracked(image) for name, image in images.items()}
        first = next(iter(tracked.values()))
        parts = parted(_image(result, sample), {name: int(image.shape[0]) for name, image in tracked.items()})
        for key in self.key_iterator(found):
            found[key] = _like(parts[str(key)], tracked[str(key)])
        found[self.label_key] = _like(_label(result, sample)[None], first)
        if self.region_key is not None:
            region = np.zeros(sample.shape, dtype=np.bool_) if result is None else result.region
            found[self.region_key] = _like(region[None], first)
        if self.recipe_key is not None:
            found[self.recipe_key] = "" if result is None else result.recipe.to_json().decode()
        return found

    def _mask(self, data: Mapping[Hashable, Any], key: str | None) -> Any:
        if key is None or (key not in data and self.allow_missing_keys):
            return None
        return as_numpy(data[key])

    def _id(self, data: Mapping[Hashable, Any]) -> str:
        if self.id_key not in data and self.seed is not None:
            raise SynthanomError(
                f"with a seed, pictures are drawn by the id of each item: {self.id_key!r} must be in the dictionary, "
                f"got {sorted(map(str, data))}; add it, name another id_key, or leave seed out"
            )
        return str(data.get(self.id_key, "sample"))


def _with(given: Mixture | AbstractTask, prob: float | None) -> Mixture:
    mixture = as_mixture(given)
    return mixture if prob is None else replace(mixture, probability=prob)


def _tracked(image: Any) -> Tensor:
    """The image as MONAI's other transforms return it."""
    tensor: Tensor = convert_to_tensor(image, track_meta=get_track_meta())
    return tensor


def _sample(images: Mapping[str, Any], foreground: Any, within: Any, *, id: str, subject: Any) -> Sample:  # noqa: A002
    affines = {name: as_numpy(image.affine) for name, image in images.items() if isinstance(image, MetaTensor)}
    spacing = None
    if affines:
        check_affines(affines)
        spacing = _spacing(*next((affine, images[name].ndim - 1) for name, affine in affines.items()))
    arrays = {name: as_numpy(image) for name, image in images.items()}
    mask, prior = (None if one is None else as_numpy(one) for one in (foreground, within))
    return sample_of(arrays, mask, spacing, id=id, subject=None if subject is None else str(subject), within=prior)


def _spacing(affine: npt.NDArray[Any], dims: int) -> list[float] | None:
    """Lengths of the affine's columns for the spatial axes in their order, mm; None where it does not say."""
    steps = np.linalg.norm(affine[:-1, :dims].astype(np.float64), axis=0)
    return steps.tolist() if len(steps) == dims and bool((steps > 0).all()) else None


def _image(result: Result | None, sample: Sample) -> npt.NDArray[np.float32]:
    return np.array(sample.image) if result is None else result.image


def _label(result: Result | None, sample: Sample) -> npt.NDArray[np.float32]:
    return np.zeros(sample.shape, dtype=np.float32) if result is None else result.label


def _like(array: npt.NDArray[Any], image: Tensor) -> Tensor:
    """The array as a tensor on the device of an image, with its affine and what else MONAI knows of it."""
    tensor: Tensor = convert_to_dst_type(np.ascontiguousarray(array), image, dtype=array.dtype)[0]
    return tensor
