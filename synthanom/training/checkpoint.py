"""The model that people keep: weights as `model.safetensors`, everything else as `model.json`. No pickle."""

import hashlib
import json
import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from torch import nn

from synthanom import __version__
from synthanom.detectors.abstract import AbstractDetector
from synthanom.detectors.registry import detector_class
from synthanom.errors import SynthanomError
from synthanom.manifest import replaced_file
from synthanom.metrics import Aggregation
from synthanom.networks.positioned import PositionedNetwork, input_channels
from synthanom.networks.registry import build_network
from synthanom.training.config import AggregationConfig, DetectorName, NetworkConfig

WEIGHTS, CARD = "model.safetensors", "model.json"
FORMAT, KIND = 1, "synthanom-model"

_STRICT = ConfigDict(extra="forbid", frozen=True, strict=True)


class ModelCard(BaseModel):
    """What `model.json` says.

    Attributes
    ----------
    kind, format
        What the file is.
    detector : str
    network : NetworkConfig
    positions : bool
        Whether it is given position channels.
    channels : int
        Of the image.
    shape : tuple of D ints
        Of the training images; others are possible.
    preprocessing : dict
        Pipeline as data: what turns a raw scan into the network's input.
    aggregation : AggregationConfig
    thresholds : dict of str to float
        On the score map ("pixel") and its aggregated score ("sample"), and those not used.
    training : dict
        Data set, run, epoch and validation figures: where the weights come from.
    versions : dict of str to str
    weights_sha256 : str
    """

    model_config = _STRICT

    kind: Literal["synthanom-model"] = "synthanom-model"
    format: int = FORMAT
    detector: DetectorName
    network: NetworkConfig
    positions: bool
    channels: int = Field(ge=1)  # of the image
    shape: tuple[int, ...]  # of the training images; others are possible
    preprocessing: dict[str, Any]  # pipeline as data: what turns a raw scan into the network's input
    aggregation: AggregationConfig
    thresholds: dict[str, float]  # on the score map ("pixel") and its aggregated score ("sample"), and those not used
    training: dict[str, Any]  # data set, run, epoch and validation figures: where the weights come from
    versions: dict[str, str]
    weights_sha256: str = Field(pattern="^[0-9a-f]{64}$")

    def sample_score(self) -> Aggregation:
        """The object that turns a score map into one number."""
        return self.aggregation.build()


@dataclass(frozen=True, kw_only=True, eq=False)
class Model:
    """A detector with what the file says about it.

    Attributes
    ----------
    detector : AbstractDetector
    card : ModelCard
    """

    detector: AbstractDetector
    card: ModelCard


def versions() -> dict[str, str]:
    """Versions of what weights and scores depend on."""
    return {
        "synthanom": __version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
    }


def build_detector(
    network: NetworkConfig,
    *,
    channels: int,
    shape: Sequence[int],
    positions: bool,
    allow_import: bool,
    detector: str = "multitask",
) -> AbstractDetector:
    """A detector with fresh weights for images (channels, *shape).

    Raises
    ------
    SynthanomError
        As `synthanom.networks.registry.build_network`, or an unknown detector.
    """
    dims, kind = len(shape), detector_class(detector)
    inner: nn.Module = build_network(
        network.name,
        network.settings,
        dims=dims,
        in_channels=input_channels(channels, dims, positions=positions),
        out_channels=kind.outputs(channels),
        allow_import=allow_import,
    )
    return kind(network=PositionedNetwork(inner, tuple(shape)) if positions else inner)


def save_model(folder: Path, module: nn.Module, card: ModelCard) -> None:
    """Write both files, each whole or not at all; the card names the digest of its weights.

    Both are on the disk before either takes the place of an earlier one: a full disk leaves the earlier model whole.

    Raises
    ------
    SynthanomError
        If the files cannot be written.
    """
    from safetensors.torch import save

    tensors = {k: v.detach().to("cpu").contiguous().clone() for k, v in module.state_dict().items()}
    content = save(tensors)
    final = card.model_copy(update={"weights_sha256": hashlib.sha256(content).hexdigest()})
    with replaced_file(folder / WEIGHTS) as weights, replaced_file(folder / CARD) as about:
        for file, written in ((weights, content), (about, _card_bytes(final))):
            file.write(written)
            file.flush()
            os.fsync(file.fileno())


def save_card(folder: Path, card: ModelCard) -> None:
    """Write `model.json` alone.

    Raises
    ------
    SynthanomError
        If the file cannot be written.
    """
    with replaced_file(folder / CARD) as file:
        file.write(_card_bytes(card))


def _card_bytes(card: ModelCard) -> bytes:
    return json.dumps(card.model_dump(mode="json"), indent=1, sort_keys=True, allow_nan=False).encode() + b"\n"


def model_folder(folder: Path | str) -> Path:
    """The folder that holds the model files: `folder` itself, or ``best`` of a run folder.

    Raises
    ------
    SynthanomError
        If there is no model in either.
    """
    given = Path(folder)
    for candidate in (given, given / "best"):
        if (candidate / CARD).is_file() and (candidate / WEIGHTS).is_file():
            return candidate
    raise SynthanomError(
        f"{given}: must be a run folder or hold {WEIGHTS} and {CARD}, got neither; name the folder that "
        "synthanom-train wrote, or train until its first validation"
    )


def read_card(folder: Path | str) -> ModelCard:
    """Read `model.json` of a run or model folder.

    Parameters
    ----------
    folder : path

    Returns
    -------
    ModelCard

    Raises
    ------
    SynthanomError
        Missing, damaged, or of a newer format.
    """
    path = model_folder(folder) / CARD
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise SynthanomError(f"{path}: must be readable JSON, got: {error}; copy the model again") from error
    found = content.get("format") if isinstance(content, dict) else None
    if isinstance(found, int) and found > FORMAT:
        raise SynthanomError(
            f"{path}: format must be at most {FORMAT}, got {found}: a newer synthanom wrote it; "
            "upgrade with pip install --upgrade synthanom"
        )
    try:
        return ModelCard.model_validate_json(json.dumps(content))
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in problem["loc"]) or "content"
        raise SynthanomError(
            f"{path}: {where}: {problem['msg'].lower()}; it is no model of synthanom or was edited: copy it again"
        ) from error


def load_model(folder: Path | str, *, allow_import: bool = False) -> Model:
    """Load a model onto the CPU, ready to score.

    Parameters
    ----------
    folder : path
        A run folder (its best model is taken) or a folder with the two model files.
    allow_import : bool
        Let the file name a foreign class for its network. Importing runs that package's code: only for files you trust.

    Returns
    -------
    Model

    Raises
    ------
    SynthanomError
        Missing, damaged or mismatched files, a newer format, or a foreign network that is not allowed.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load

    where = model_folder(folder)
    card = read_card(where)
    path = where / WEIGHTS
    try:
        content = path.read_bytes()
    except OSError as error:
        raise SynthanomError(f"{path}: must be readable, got: {error}; copy the model again") from error
    if hashlib.sha256(content).hexdigest() != card.weights_sha256:
        raise SynthanomError(
            f"{path}: its digest must be the one in {CARD}, and is not: the files do not belong together or are "
            "damaged; copy both again, or run the same training command again if it was interrupted"
        )
    with torch.random.fork_rng(devices=[]):  # the weights drawn here are replaced: leave the caller's stream alone
        detector = build_detector(
            card.network,
            channels=card.channels,
            shape=card.shape,
            positions=card.positions,
            allow_import=allow_import,
            detector=card.detector,
        )
    try:
        detector.module.load_state_dict(load(content), strict=True)
    except (SafetensorError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:300]
        raise SynthanomError(
            f"{path}: must hold the weights of the network that {CARD} names, got: {reason}; copy both again"
        ) from error
    detector.module.eval()
    return Model(detector=detector, card=card)
