"""Score maps of prepared images, by one model or the mean of several."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch

from synthanom.arrays import ImageArray, check_image
from synthanom.errors import SynthanomError
from synthanom.training.checkpoint import Model, ModelCard, load_model, read_card
from synthanom.training.config import AggregationConfig
from synthanom.training.device import DeviceChoice, chosen_device


def raw_score_map(model: Model, image: ImageArray) -> ImageArray:
    """One model's map of one image, (C, *S) -> (*S), float32, not clipped; computed where the model is.

    Raises
    ------
    SynthanomError
        If the image does not have the model's channels and number of axes.
    """
    check_image(image)
    card = model.card
    if image.shape[0] != card.channels or image.ndim != 1 + len(card.shape):
        raise SynthanomError(
            f"this model takes images of {card.channels} channels and {len(card.shape)} spatial axes, got shape "
            f"{image.shape}; prepare the scan with the model's own preprocessing"
        )
    device = next(model.detector.module.parameters()).device
    with torch.inference_mode():
        batch = torch.from_numpy(np.array(image, dtype=np.float32, order="C"))[None].to(device)
        found: ImageArray = model.detector.score_map(batch)[0].float().cpu().numpy()
    return found


def common_card(folders: Sequence[Path | str]) -> ModelCard:
    """The first model's card, after checking that the models of an ensemble take the same input.

    Each model chose its aggregation on validation pictures of its own; the ensemble takes that of most of its models.

    Raises
    ------
    SynthanomError
        No folders, or models that differ in channels, number of axes or preprocessing.
    """
    if not folders:
        raise SynthanomError("prediction needs at least one run or model folder, got none")
    cards = [read_card(folder) for folder in folders]
    first = cards[0]
    for folder, card in zip(folders[1:], cards[1:], strict=True):
        same = (card.channels, len(card.shape), card.preprocessing) == (
            first.channels,
            len(first.shape),
            first.preprocessing,
        )
        if not same:
            raise SynthanomError(
                f"{folder}: the models of an ensemble must take the same input, and {folders[0]} differs in channels, "
                "axes or preprocessing; use runs of one data set together"
            )
    return first.model_copy(update={"aggregation": _most_common([card.aggregation for card in cards])})


def _most_common(given: Sequence[AggregationConfig]) -> AggregationConfig:
    """What most models of an ensemble aggregate by; of equally many, what comes first."""
    return max(given, key=lambda one: sum(other == one for other in given))


def score_maps(
    folders: Sequence[Path | str],
    images: Sequence[ImageArray],
    *,
    device: DeviceChoice = "auto",
    allow_import: bool = False,
    done: Callable[[int], None] | None = None,
) -> list[ImageArray]:
    """Mean score map of an ensemble for each image, clipped to [0, 1].

    One model is in memory at a time; the maps of all images are. Any sequence will do for `images`: it is indexed once
    per model, so one that reads its files when indexed holds a single image at a time.

    Parameters
    ----------
    folders : sequence of paths
        Run or model folders.
    images : sequence of ndarrays of shape (C, *S), float32
        Prepared as the models' cards say.
    device : str
        ``"auto"``, ``"cpu"`` or ``"cuda"``.
    allow_import : bool
        As `load_model`.
    done : callable, optional
        Told the number of maps finished so far, over all models.

    Returns
    -------
    list of ndarrays of shape (*S), float32

    Raises
    ------
    SynthanomError
        Models that cannot be loaded or differ in their input, or images that do not suit them.
    """
    maps: list[ImageArray] = []
    for number, _ in enumerate(score_steps(folders, images, maps, device=device, allow_import=allow_import)):
        if done is not None:
            done(number + 1)
    return maps


def score_steps(
    folders: Sequence[Path | str],
    images: Sequence[ImageArray],
    maps: list[ImageArray],
    *,
    device: DeviceChoice = "auto",
    allow_import: bool = False,
) -> Iterator[None]:
    """As `score_maps`, map by map: yields after each map of each model; `maps` holds the means in the end.

    Raises
    ------
    SynthanomError
        As `score_maps`.
    """
    common_card(folders)
    target = chosen_device(device)
    for number, folder in enumerate(folders):
        model = load_model(folder, allow_import=allow_import)
        model.detector.module.to(target)
        for i in range(len(images)):
            found = raw_score_map(model, images[i])
            if number == 0:
                maps.append(found)
            else:
                maps[i] = maps[i] + found
            yield
    maps[:] = [np.clip(total / np.float32(len(folders)), 0.0, 1.0) for total in maps]


def score_map(
    folders: Sequence[Path | str], image: ImageArray, *, device: DeviceChoice = "auto", allow_import: bool = False
) -> ImageArray:
    """Mean score map (*S) of an ensemble for one image (C, *S); see `score_maps`.

    Raises
    ------
    SynthanomError
        As `score_maps`.
    """
    return score_maps(folders, [image], device=device, allow_import=allow_import)[0]
