"""Transforms for TorchIO: anomalies in the images of a subject, with a history that makes the same picture again."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from synthanom.arrays import ImageArray
from synthanom.datasets import SharedEpoch
from synthanom.donors import find
from synthanom.errors import MissingExtra, SynthanomError
from synthanom.integrations.contrasts import check_affines, parted, sample_of
from synthanom.mixture import Mixture, as_mixture
from synthanom.recipe import Recipe
from synthanom.sample import Sample
from synthanom.synthesis import Result, replay
from synthanom.tasks.abstract import AbstractTask

try:
    from torchio import LabelMap, ScalarImage, Subject
    from torchio.transforms import IntensityTransform
    from torchio.transforms.augmentation.random_transform import RandomTransform
except ImportError as error:
    raise MissingExtra('transforms for TorchIO need torchio; pip install "synthanom[torchio]"') from error

ONCE = "once"  # the draw's name where torch's generator gives a new seed for every picture


class RandomAnomaly(RandomTransform, IntensityTransform):
    """Put anomalies into the scalar images of a subject, and their label beside them.

    All images that `include` and `exclude` leave become the channels of one picture: an anomaly sits at the same place
    in all of them. Affine and spacing stay as they are, images become float32, and every subject gets a label, so that
    subjects can be collated. There is no inverse.

    Parameters
    ----------
    mixture : Mixture or AbstractTask
    foreground : str, optional
        Name of the image that is above 0 where anomalies may be placed; everywhere by default.
    within : str, optional
        Location prior: at least half of each anomaly lies where the image of this name is above 0.
    label : str
        Name of the label, a LabelMap of float32 in [0, 1], shape (1, X, Y, Z).
    p : float, optional
        Probability of an anomaly, the mixture's own by default. Without one the label is zeros.
    seed : int, optional
        None: each picture gets a seed from torch's global generator, as TorchIO's own transforms draw; workers of a
        DataLoader have generators of their own. A number: pictures depend on it, the subject's id and the epoch
        (`set_epoch`) alone, for any number of workers and any order; every subject needs an id.
    id_key, subject_key : str
        Entries of the subject with its id and whom it shows, if there are any. Donors that show the same one are not
        borrowed from by `intra_blend`.
    **kwargs
        As for `torchio.Transform`: include, exclude, copy, keep.

    Notes
    -----
    The label is a LabelMap though its values are soft: intensity transforms that follow must leave it alone, and do.
    Spatial ones move it by the nearest neighbour unless they are told ``label_interpolation="linear"``.

    TorchIO's tensors are (C, X, Y, Z). They are taken as they are: recipes give positions in the order of the tensor's
    axes. A last axis of length 1 stands for a picture, in which anomalies are drawn in 2D.
    """

    def __init__(
        self,
        mixture: Mixture | AbstractTask,
        *,
        foreground: str | None = None,
        within: str | None = None,
        label: str = "label",
        p: float | None = None,
        seed: int | None = None,
        id_key: str = "id",
        subject_key: str = "subject",
        **kwargs: Any,
    ) -> None:
        # p is ours to decide: where TorchIO's own says no, a subject would have no label
        IntensityTransform.__init__(self, p=1, **kwargs)
        given = as_mixture(mixture)
        self.mixture = given if p is None else replace(given, probability=p)
        self.foreground, self.within, self.label = foreground, within, label
        self.seed = seed
        self.id_key, self.subject_key = id_key, subject_key
        self.epoch = SharedEpoch()
        self.args_names = ["mixture", "foreground", "within", "label", "seed", "id_key", "subject_key"]

    def set_epoch(self, epoch: int) -> None:
        """Make other pictures from now on, in every worker; of effect only with a `seed`."""
        self.epoch.set(epoch)

    def apply_transform(self, subject: Subject) -> Subject:
        """The subject with its images changed and its label added.

        Raises
        ------
        SynthanomError
            As `Mixture.make`; no scalar image; images of different grids; no id where a `seed` is given.
        """
        images = self.get_images_dict(subject)
        shown = subject.get(self.subject_key)
        masks = (self.foreground, self.within)
        sample = _sample(subject, images, masks, self._id(subject), None if shown is None else str(shown))
        if self.seed is None:
            seed, draw = int(torch.randint(0, 2**63 - 1, (1,)).item()), ONCE
        else:
            seed, draw = self.seed, self.epoch.draw
        result = self.mixture.make(sample, seed=seed, draw=draw)
        _put(subject, images, sample, result, self.label)
        arguments: dict[str, Any] = {
            "recipe": "" if result is None else result.recipe.to_json().decode(),
            "mixture": _lenders(self.mixture, result),
            "foreground": self.foreground,
            "within": self.within,
            "label": self.label,
            "include": self.include,
            "exclude": self.exclude,
            "copy": self.copy,
        }
        subject.add_transform(ReplayedAnomaly(**arguments), arguments)
        return subject

    def _id(self, subject: Subject) -> str:
        if self.id_key not in subject and self.seed is not None:
            raise SynthanomError(
                f"with a seed, pictures are drawn by the id of each subject: it must have {self.id_key!r}, got "
                f"{sorted(subject)}; add it, name another id_key, or leave seed out"
            )
        return str(subject.get(self.id_key, "sample"))


class ReplayedAnomaly(IntensityTransform):
    """The anomalies of a recipe, made again: what `RandomAnomaly` leaves in a subject's history.

    Parameters
    ----------
    recipe : str
        JSON; empty for a subject that stayed healthy.
    mixture : Mixture
        Its labeller, and as donors those that the recipe names.
    foreground, within : str, optional
    label : str
    **kwargs
        As for `torchio.Transform`.
    """

    def __init__(
        self,
        recipe: str,
        mixture: Mixture,
        foreground: str | None = None,
        label: str = "label",
        within: str | None = None,
        **kwargs: Any,
    ) -> None:
        IntensityTransform.__init__(self, **kwargs)
        self.recipe, self.mixture = recipe, mixture
        self.foreground, self.within, self.label = foreground, within, label
        self.args_names = ["recipe", "mixture", "foreground", "label", "within"]

    def apply_transform(self, subject: Subject) -> Subject:
        """The subject with the same changes and the same label.

        Raises
        ------
        SynthanomError
            If the images, the foreground or, where the recipe asks for it, the prior are not those that the recipe was
            drawn for.
        """
        images = self.get_images_dict(subject)
        sample = _sample(subject, images, (self.foreground, self.within), "sample", None)
        result = None
        if self.recipe:
            recipe = Recipe.from_json(self.recipe)
            result = replay(sample, recipe, self.mixture.labeller, donors=self.mixture.donors)
        _put(subject, images, sample, result, self.label)
        return subject


def _sample(
    subject: Subject,
    images: dict[str, ScalarImage],
    masks: tuple[str | None, str | None],
    id: str,  # noqa: A002  (as for Sample.from_array)
    shown: str | None,
) -> Sample:
    """The images, and the names of foreground and prior, as one sample: 2D where the last axis has length 1."""
    if not images:
        raise SynthanomError(
            f"anomalies need a scalar image, got a subject with {sorted(subject)}; use torchio.ScalarImage, "
            "or name other images in include= or exclude="
        )
    check_affines({name: image.affine for name, image in images.items()})
    for role, name in zip(("foreground", "location prior"), masks, strict=True):
        if name is not None and name not in subject:
            raise SynthanomError(f"the {role} must be an image of the subject, {name!r} is not in it")
    flat = all(image.shape[-1] == 1 for image in images.values())
    arrays = {name: _array(image, flat) for name, image in images.items()}
    mask, prior = (None if name is None else _array(subject[name], flat) for name in masks)
    spacing = next(iter(images.values())).spacing[: 2 if flat else 3]
    return sample_of(arrays, mask, spacing, id=id, subject=shown, within=prior)


def _array(image: Any, flat: bool) -> Any:
    data = image.data.numpy()
    return data[..., 0] if flat and data.shape[-1] == 1 else data


def _put(subject: Subject, images: dict[str, ScalarImage], sample: Sample, result: Result | None, label: str) -> None:
    """Write a picture into the images, and its label."""
    picture = np.array(sample.image) if result is None else result.image
    marked = np.zeros(sample.shape, dtype=np.float32) if result is None else result.label
    first = next(iter(images.values()))
    parts = parted(picture, {name: int(image.shape[0]) for name, image in images.items()})
    for name, image in images.items():
        image.set_data(_tensor(parts[name], image.shape))
    marks: Any = LabelMap
    subject.add_image(marks(tensor=_tensor(marked, (1, *first.shape[1:])), affine=first.affine), label)


def _tensor(array: ImageArray, shape: Sequence[int]) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(array)).reshape(tuple(shape))


def _lenders(mixture: Mixture, result: Result | None) -> Mixture:
    """The mixture with no donors but those that a picture borrowed from: a history travels with its subject."""
    if result is None:
        return replace(mixture, donors=None)
    borrowed = {
        anomaly.donor.id: find(anomaly.task_class, anomaly.donor, mixture.donors)
        for anomaly in result.recipe.anomalies
        if anomaly.donor is not None
    }
    return replace(mixture, donors=list(borrowed.values()) or None)
