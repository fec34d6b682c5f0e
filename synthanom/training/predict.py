"""Score maps of prepared images, by one model or the mean of several."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from synthanom.arrays import ImageArray, check_image
from synthanom.detectors.scoring import WHOLE, Scorer, Scoring, scorer
from synthanom.errors import SynthanomError, TooLittleMemory
from synthanom.training.checkpoint import Model, ModelCard, load_model, read_card
from synthanom.training.config import AggregationConfig
from synthanom.training.device import DeviceChoice, chosen_device


def raw_score_map(model: Model, image: ImageArray, scoring: Scoring = WHOLE) -> ImageArray:
    """One model's map of one image, not clipped; computed where the model is.

    Parameters
    ----------
    model : Model
    image : ndarray of shape (C, *S), float32
    scoring : Scoring
        Windows and mirroring; whole by default.

    Returns
    -------
    ndarray of shape (*S), float32

    Raises
    ------
    SynthanomError
        If the image does not have the model's channels and number of axes, or what `scoring` asks for is impossible.
    """
    _check(model, image)
    return model_scorer(model, scoring).map(image)


def model_scorer(model: Model, scoring: Scoring) -> Scorer:
    """What scores images with a model; made once for many images, as it measures the memory that the model takes.

    Raises
    ------
    SynthanomError
        As `synthanom.detectors.scoring.scorer`.
    """
    return scorer(model.detector, scoring, model.card.channels, len(model.card.shape))


def _check(model: Model, image: ImageArray) -> None:
    check_image(image)
    card = model.card
    if image.shape[0] != card.channels or image.ndim != 1 + len(card.shape):
        raise SynthanomError(
            f"this model takes images of {card.channels} channels and {len(card.shape)} spatial axes, got shape "
            f"{image.shape}; prepare the scan with the model's own preprocessing"
        )


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
    scoring: Scoring = WHOLE,
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
    scoring : Scoring
        Windows and mirroring; images are scored whole by default.
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
    maps: dict[int, ImageArray] = {}
    steps = score_steps(folders, images, maps, device=device, allow_import=allow_import, scoring=scoring)
    for number, _ in enumerate(steps):
        if done is not None:
            done(number + 1)
    return [maps[i] for i in range(len(images))]


def score_steps(
    folders: Sequence[Path | str],
    images: Sequence[ImageArray],
    maps: dict[int, ImageArray],
    *,
    device: DeviceChoice = "auto",
    allow_import: bool = False,
    scoring: Scoring = WHOLE,
    failed: dict[int, str] | None = None,
) -> Iterator[tuple[int, tuple[int, ...]]]:
    """As `score_maps`, map by map; `maps` holds the means by index of the image in the end.

    Where `failed` is given, an image that memory does not suffice for is left out of `maps` and of all further models,
    and the reason is noted there.

    Yields
    ------
    int, tuple of D ints
        After each map of each model: index of the image, and the sides of the windows it was scored in. An image that
        failed is counted all the same.

    Raises
    ------
    SynthanomError
        As `score_maps`.
    TooLittleMemory
        Without `failed`.
    """
    common_card(folders)
    target = chosen_device(device)
    for number, folder in enumerate(folders):
        model = load_model(folder, allow_import=allow_import)
        model.detector.module.to(target)
        ready = model_scorer(model, scoring)
        for i in range(len(images)):
            image = images[i]
            if failed is None or i not in failed:
                _check(model, image)
                try:
                    found = ready.map(image)
                    maps[i] = found if number == 0 else np.add(maps[i], found, out=maps[i])
                except TooLittleMemory as error:
                    if failed is None:
                        raise
                    # the words alone: the error's traceback would keep alive what filled the memory
                    failed[i] = str(error)
                    maps.pop(i, None)
            yield i, ready.window(image.shape[1:])
    for total in maps.values():
        total /= np.float32(len(folders))
        np.clip(total, 0.0, 1.0, out=total)


def score_map(
    folders: Sequence[Path | str], image: ImageArray, *, device: DeviceChoice = "auto", allow_import: bool = False
) -> ImageArray:
    """Mean score map of an ensemble for one image; see `score_maps`.

    Parameters
    ----------
    folders : sequence of paths
        Run or model folders.
    image : ndarray of shape (C, *S), float32
        Prepared as the models' cards say.
    device, allow_import
        As `score_maps`.

    Returns
    -------
    ndarray of shape (*S), float32 in [0, 1]

    Raises
    ------
    SynthanomError
        As `score_maps`.
    """
    return score_maps(folders, [image], device=device, allow_import=allow_import)[0]
