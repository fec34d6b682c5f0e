"""From a sample and a task to a picture, its label and its recipe; and back from the recipe to the same picture."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from synthanom import donors as donor_sets
from synthanom import regions
from synthanom.arrays import ImageArray, MaskArray, MaskOrBox, box_slices, mask_digest, mask_or_box
from synthanom.donors import Donors
from synthanom.errors import NothingVisible, SynthanomError, UnsuitableRegion
from synthanom.labels import AbstractLabeller, Box, merge_boxes
from synthanom.nearest import meant
from synthanom.recipe import Anomaly, Recipe, SampleRef, SynthesisOptions
from synthanom.sample import Sample
from synthanom.streams import stream
from synthanom.tasks.abstract import AbstractTask

if TYPE_CHECKING:
    import torch

    from synthanom.batched.inputs import BatchInputs
    from synthanom.batched.pool import DonorPool

__all__ = ["Batch", "Recipe", "Result", "replay", "stream", "synthesise", "synthesise_batch"]

Way = Literal["auto", "samples", "batched"]  # of making a batch
ATTEMPTS = 8  # how often a sample is drawn until something is visible


@dataclass(frozen=True, kw_only=True, eq=False)
class Result:
    """One synthetic picture.

    Attributes
    ----------
    image : ndarray of shape (C, *S), float32, a new array
    label : ndarray of shape (*S), float32 in [0, 1]
    region : ndarray of shape (*S), bool
        The union that the labeller was given.
    recipe : Recipe
    boxes : tuple of (corner, size)
        Disjoint boxes outside of which nothing changed and the label is 0, voxels.
    """

    image: ImageArray
    label: ImageArray
    region: MaskArray
    recipe: Recipe
    boxes: tuple[Box, ...]


@dataclass(frozen=True, kw_only=True, eq=False)
class Batch:
    """Synthetic pictures as tensors.

    Attributes
    ----------
    images : tensor of shape (B, C, *S), float32
    labels : tensor of shape (B, *S), float32 in [0, 1]
    regions : tensor of shape (B, *S), bool
    recipes : sequence of B Recipes
    """

    images: "torch.Tensor"
    labels: "torch.Tensor"
    regions: "torch.Tensor"
    recipes: Sequence[Recipe]


def synthesise(
    sample: Sample,
    task: AbstractTask,
    labeller: AbstractLabeller,
    *,
    rng: np.random.Generator,
    donors: Donors | None = None,
    max_anomalies: int = 4,
    repeat: float = 0.5,
    foreground_only: bool = False,
    inside_only: bool = False,
    within: MaskOrBox | None = None,
) -> Result:
    """Make one to four anomalies of one kind in a picture, and label what changed.

    Parameters
    ----------
    sample : Sample
    task : AbstractTask
    labeller : AbstractLabeller
    rng : numpy Generator
        The only source of randomness.
    donors : sequence of Samples, optional
        For the blending tasks; ignored by the others. A mapping gives each task (by stored name) its own.
    max_anomalies : int
        At most this many (1 to 4).
    repeat : float
        Probability of another anomaly after each.
    foreground_only : bool
        Undo changes outside the foreground before labelling.
    inside_only : bool
        Undo changes outside `within` before labelling.
    within : ndarray of shape (*S), bool, or (corner, size) of a box in voxels, optional
        Location prior: at least half of each region lies in the foreground and in this mask. By default the sample's
        own (`Sample.within`), if it has one.

    Returns
    -------
    Result

    Raises
    ------
    NoPlace
        If no drawn shape fits on the foreground.
    NothingVisible
        If 8 attempts changed too little to be labelled.
    SynthanomError
        For settings, donors or a location prior that do not fit the sample.
    """
    options = SynthesisOptions(
        max_anomalies=max_anomalies, repeat=repeat, foreground_only=foreground_only, inside_only=inside_only
    )
    prior = _prior(sample, within)
    cut = _cut(options, prior)
    available = donor_sets.donors_for(task, donors)
    for attempt in range(1, ATTEMPTS + 1):
        drawn = draw_anomalies(rng, sample, task, available, options, prior)
        recipe = Recipe(
            sample=SampleRef.of(sample, cut), attempts=attempt, options=options, anomalies=tuple(a for a, _ in drawn)
        )
        result, peak = _make(sample, recipe, [donor for _, donor in drawn], labeller, cut)
        if peak >= labeller.visible and peak > 0:
            return result
    raise NothingVisible(
        f"{task.name} changed {sample.id} too little to see in {ATTEMPTS} attempts (largest pointwise label under "
        f"{labeller.visible}); check that the image is normalised and not flat where the foreground is"
    )


def _prior(sample: Sample, within: MaskOrBox | None) -> MaskArray | None:
    """The location prior that counts for a sample."""
    return sample.within if within is None else mask_or_box(within, sample.shape, name="within")


def _cut(options: SynthesisOptions, prior: MaskArray | None) -> MaskArray | None:
    """Outside of which changes are undone, besides the foreground; None if they are not."""
    if options.inside_only and prior is None:
        raise SynthanomError(
            "inside_only needs a location prior, got none; pass within=, or Sample.from_array(within=)"
        )
    return prior if options.inside_only else None


def replay(
    sample: Sample,
    recipe: Recipe,
    labeller: AbstractLabeller,
    *,
    donors: Donors | None = None,
    within: MaskOrBox | None = None,
) -> Result:
    """Make the same picture again from its recipe.

    Parameters
    ----------
    sample : Sample
        The sample that the recipe was drawn for; its digest is verified.
    recipe : Recipe
    labeller : AbstractLabeller
    donors : sequence of Samples, optional
        Must hold the donors that the recipe names.
    within : as for `synthesise`
        Counts only if the recipe was drawn with `inside_only`.

    Returns
    -------
    Result

    Raises
    ------
    SynthanomError
        If the sample, a donor or the location prior is another one, or a donor or the prior is missing.
    """
    if sample.sha256 != recipe.sample.sha256:
        raise SynthanomError(
            f"the recipe was drawn for {recipe.sample.id!r} with digest {recipe.sample.sha256[:12]}, got {sample.id!r} "
            f"with {sample.sha256[:12]}; pass the same image with the same foreground and preprocessing"
        )
    chosen = [
        None if anomaly.donor is None else donor_sets.find(anomaly.task_class, anomaly.donor, donors)
        for anomaly in recipe.anomalies
    ]
    cut = _cut(recipe.options, _prior(sample, within))
    if cut is not None and mask_digest(cut) != recipe.sample.within:
        raise SynthanomError(
            f"the recipe of {recipe.sample.id!r} undoes changes outside a location prior with digest "
            f"{recipe.sample.within[:12]}, got one with {mask_digest(cut)[:12]}; pass the same within="
        )
    return _make(sample, recipe, chosen, labeller, cut)[0]


def synthesise_batch(
    images: Any,
    foregrounds: Any,
    task_or_tasks: AbstractTask | Sequence[AbstractTask],
    labeller: AbstractLabeller,
    *,
    rng: np.random.Generator | Sequence[np.random.Generator],
    donors: "Donors | DonorPool | None" = None,
    ids: Sequence[str] | None = None,
    subjects: Sequence[str] | None = None,
    spacings: Sequence[Sequence[float]] | None = None,
    max_anomalies: int = 4,
    repeat: float = 0.5,
    foreground_only: bool = False,
    inside_only: bool = False,
    within: "torch.Tensor | Sequence[MaskOrBox | None] | None" = None,
    way: Way = "auto",
) -> Batch:
    """Make anomalies in every picture of a batch; sample i equals `synthesise` with generator i.

    Parameters
    ----------
    images : tensor of shape (B, C, *S), float32, on any device
    foregrounds : bool tensor of shape (B, *S), or None for the whole images
    task_or_tasks : one task, or one for each of the B samples
    labeller : AbstractLabeller
    rng : B numpy Generators, or one that can spawn them
        Philox generators are drawn from fastest, `streams.KeyedStreams` before all.
    donors : as for `synthesise`, or a `batched.DonorPool`, which keeps them on the device from call to call
    ids, subjects, spacings : as for `Sample.from_array`
    max_anomalies, repeat, foreground_only, inside_only : as for `synthesise`
    within : bool tensor of shape (B, *S), or a sequence of B masks, boxes or Nones, optional
        Location priors, as for `synthesise`; a batch with any is made by samples.
    way : {"auto", "samples", "batched"}
        "samples" makes one after another by the compiled kernels, on the CPU; "batched" makes all at once, where
        `images` are; "auto" takes the first for tensors on the CPU, where it is faster, and the second elsewhere.

    Returns
    -------
    Batch
        Tensors on the device of `images`.

    Raises
    ------
    SynthanomError
        As `synthesise`, and if the numbers of generators, tasks or names do not match the batch.

    Notes
    -----
    Made by samples, pictures equal those of `synthesise` bit for bit. Batched, recipes are the same, and pictures and
    labels agree within 1e-3 of their range; recipes are written down when they are first read, so `images` and
    `foregrounds` must not be written to before that. Tasks and labellers that have no batched form, batches with a
    location prior, and the few samples whose place must be searched for exhaustively, are made by samples in any case.
    """
    from synthanom.batched.inputs import BatchInputs
    from synthanom.batched.pool import DonorPool

    if way not in get_args(Way):
        raise SynthanomError(f"way must be one of {', '.join(get_args(Way))}, got {way!r}{meant(way, get_args(Way))}")
    count = len(images)
    own = donors.donors if isinstance(donors, DonorPool) else donors
    names = [f"sample-{i}" for i in range(count)] if ids is None else list(ids)
    inputs = BatchInputs(
        images=images,
        foregrounds=foregrounds,
        ids=names,
        subjects=names if subjects is None else list(subjects),
        spacings=[None] * count if spacings is None else list(spacings),
        tasks=[task_or_tasks] * count if isinstance(task_or_tasks, AbstractTask) else list(task_or_tasks),
        donors=[own] * count,
        options=SynthesisOptions(
            max_anomalies=max_anomalies, repeat=repeat, foreground_only=foreground_only, inside_only=inside_only
        ),
        withins=[None] * count if within is None else list(within),
        generators=rng.spawn(count) if isinstance(rng, np.random.Generator) else rng,
    )
    if way != "samples" and (way == "batched" or images.device.type != "cpu"):
        from synthanom.batched.making import can_make, make_batch

        if can_make(inputs.tasks, labeller) and not inputs.placed:
            return make_batch(inputs, labeller, donors).batch
    return _make_samples(inputs, labeller)


def _make_samples(inputs: "BatchInputs", labeller: AbstractLabeller) -> Batch:
    """Make the samples of a batch one after another."""
    import torch

    options = inputs.options.to_dict()
    results = [
        synthesise(inputs.sample(i), task, labeller, rng=rng, donors=donors, **options)
        for i, (task, rng, donors) in enumerate(zip(inputs.tasks, inputs.generators, inputs.donors, strict=True))
    ]
    device = inputs.images.device
    return Batch(
        images=torch.from_numpy(np.stack([r.image for r in results])).to(device),
        labels=torch.from_numpy(np.stack([r.label for r in results])).to(device),
        regions=torch.from_numpy(np.stack([r.region for r in results])).to(device),
        recipes=tuple(r.recipe for r in results),
    )


def draw_anomalies(
    rng: np.random.Generator,
    sample: Sample,
    task: AbstractTask,
    donors: donor_sets.DonorSet | None,
    options: SynthesisOptions,
    within: MaskArray | None,
) -> list[tuple[Anomaly, Sample | None]]:
    """Draw the anomalies of one attempt, each with its donor.

    Everything is drawn before anything is applied: no draw depends on the picture in between.

    Raises
    ------
    NoPlace
        If no drawn shape fits on the foreground.
    UnsuitableRegion
        If the task can use none of the drawn regions.
    """
    drawn = []
    count = task.draw_count(rng, options.max_anomalies, options.repeat)
    for number in range(count or options.max_anomalies):
        drawn.append(_draw_anomaly(rng, sample, task, donors, within))
        if count is None and number + 1 < options.max_anomalies and rng.random() >= options.repeat:
            break
    return drawn


def _draw_anomaly(
    rng: np.random.Generator,
    sample: Sample,
    task: AbstractTask,
    donors: donor_sets.DonorSet | None,
    within: MaskArray | None,
) -> tuple[Anomaly, Sample | None]:
    unsuitable = None
    for _ in range(regions.REDRAWS):
        region = task.draw_region(rng, sample, within)
        chosen = donor_sets.choose(rng, task, sample, donors)
        donor, reference = (None, None) if chosen is None else chosen
        try:
            params = task.sample_params(rng, sample, region, donor)
        except UnsuitableRegion as reason:
            unsuitable = reason
            continue
        return Anomaly(task=task.name, region=region, params=params, donor=reference), donor
    raise UnsuitableRegion(
        f"{task.name} could use none of {regions.REDRAWS} regions in {sample.id} ({unsuitable}); "
        "use larger images or larger shapes (ShapeSettings.smallest)"
    )


def _make(
    sample: Sample,
    recipe: Recipe,
    donors: Sequence[Sample | None],
    labeller: AbstractLabeller,
    cut: MaskArray | None,
) -> tuple[Result, float]:
    """Apply a recipe's anomalies one after another and label the outcome once; also the largest pointwise label."""
    image = sample.image.copy()
    region = np.zeros(sample.shape, dtype=np.bool_)
    strength = np.zeros(sample.shape, dtype=np.float32) if labeller.uses_strength else None
    for anomaly, donor in zip(recipe.anomalies, donors, strict=True):
        place = (slice(None), *anomaly.region.slices)
        after = anomaly.task_class.change(image, anomaly.region, anomaly.params, donor)
        touched = anomaly.task_class.touched(image[place], after, anomaly.region, anomaly.params)
        region[place[1:]] |= touched
        if strength is not None:
            strength[place[1:]] += touched * np.float32(anomaly.params.strength) * (1 - strength[place[1:]])
        image[place] = after
    boxes = merge_boxes([(anomaly.region.corner, anomaly.region.size) for anomaly in recipe.anomalies])
    label = np.zeros(sample.shape, dtype=np.float32)
    peak = 0.0
    for corner, size in boxes:
        box = box_slices(corner, size)
        if recipe.options.foreground_only:
            _undo_outside(image, region, sample, box, sample.foreground[box])
        if cut is not None:
            _undo_outside(image, region, sample, box, cut[box])
        part = (slice(None), *box)
        # regions never touch the faces of their boxes, so no component spans two of these
        own = None if strength is None else strength[box]
        _, largest = labeller.label_box(sample.image[part], image[part], region[box], label[box], own)
        peak = max(peak, largest)
    return Result(image=image, label=label, region=region, recipe=recipe, boxes=tuple(boxes)), peak


def _undo_outside(
    image: ImageArray, region: MaskArray, sample: Sample, box: tuple[slice, ...], inside: MaskArray
) -> None:
    """Put the original values of a box back where it is not marked by `inside` (*box), in place."""
    part = (slice(None), *box)
    image[part] = np.where(inside, image[part], sample.image[part])
    region[box] &= inside
