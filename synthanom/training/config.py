"""How to train: a YAML file, checked strictly; what it leaves out is as in the paper."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from synthanom.detectors.needs import NEEDS, needs_of
from synthanom.errors import SynthanomError
from synthanom.metrics import Aggregation
from synthanom.nearest import meant
from synthanom.networks.settings import SETTINGS, WITH_SKIPS
from synthanom.settings_file import key_path, read_settings, refuse_unknown
from synthanom.training.folds import Pairing

_STRICT = ConfigDict(extra="forbid", frozen=True, strict=True)


OLD_DETECTORS = {"segmentation": "multitask"}  # names of earlier versions


def _renamed(name: object) -> object:
    return OLD_DETECTORS.get(name, name) if isinstance(name, str) else name


DetectorName = Annotated[Literal["multitask", "autoencoder"], BeforeValidator(_renamed)]
SelectBy = Literal["loss", "average_precision"]
ThresholdRule = Literal["false_positive_rate", "f_beta"]


class NetworkConfig(BaseModel):
    """Which network.

    Attributes
    ----------
    name : str
        "unet", "autoencoder", or "package.module:Class".
    settings : dict
        Keyword arguments of its class.
    """

    model_config = _STRICT

    name: str = "unet"  # or autoencoder, or package.module:Class
    settings: dict[str, Any] = Field(default_factory=dict)


class OptimiserConfig(BaseModel):
    """AdamW and its learning rate: linear warm-up, exponential decay, floor.

    Attributes
    ----------
    learning_rate : float
    warmup_steps : int
    warmup_start : float
        Factor at the first step.
    decay : float
        Factor per step: 10 in 8000 steps by default.
    floor : float
        Smallest factor.
    weight_decay : float
    """

    model_config = _STRICT

    learning_rate: float = Field(default=1e-3, gt=0)
    warmup_steps: int = Field(default=100, ge=0)
    warmup_start: float = Field(default=0.01, gt=0, le=1)  # factor at the first step
    decay: float = Field(default=0.9997122182804811, gt=0, le=1)  # factor per step: 10 in 8000 steps
    floor: float = Field(default=0.05, ge=0, le=1)  # smallest factor
    weight_decay: float = Field(default=0.0, ge=0)


class AggregationConfig(BaseModel):
    """The score of a whole image; as `synthanom.metrics.Aggregation`.

    Attributes
    ----------
    statistic, value, over
        As there.
    """

    model_config = _STRICT

    statistic: Literal["mean", "max", "percentile", "top"] = "top"
    value: float | None = 0.25
    over: Literal["image", "foreground", "box"] = "image"

    def build(self) -> Aggregation:
        """The object that computes it.

        Raises
        ------
        SynthanomError
            If the value does not suit the statistic.
        """
        return Aggregation(statistic=self.statistic, value=self.value, over=self.over)


def _unnamed(value: object) -> object:
    return None if value == "validation" else value


ChosenAggregation = Annotated[AggregationConfig | None, BeforeValidator(_unnamed)]


class CalibrationConfig(BaseModel):
    """How thresholds are chosen on the validation pictures; all are stored, those of `pixel` and `sample` used.

    Attributes
    ----------
    false_positive_rate : float
        Of healthy images called anomalous, at most.
    pixel_false_positive_rate : float
        Of the voxels of healthy images, at most.
    beta : float
        Of F-beta on synthetic anomalies: recall counts beta times as much as precision.
    sample, pixel : {"false_positive_rate", "f_beta"}
        By which rule thresholds of images and of voxels are chosen.
    """

    model_config = _STRICT

    false_positive_rate: float = Field(default=0.05, gt=0, lt=1)  # of healthy images called anomalous, at most
    pixel_false_positive_rate: float = Field(default=0.01, gt=0, lt=1)  # of the voxels of healthy images, at most
    beta: float = Field(default=1.1, gt=0)  # of F-beta on synthetic anomalies: recall counts beta times precision
    sample: ThresholdRule = "false_positive_rate"
    pixel: ThresholdRule = "f_beta"


class TrainingConfig(BaseModel):
    """Everything that decides which weights come out, besides data set, tasks and run.

    Attributes
    ----------
    detector : {"multitask", "autoencoder"}
    network : NetworkConfig
    positions : bool
        Give the network position channels.
    optimiser : OptimiserConfig
    batch_size : int
    epochs : int
        At most.
    patience_steps : int
        Stop after so many steps without a better validation loss.
    validate_every : int
        Epochs.
    select_by : str
        Which validation figure decides the checkpoint and the patience.
    flip : float
        Probability of a left-right flip.
    anisotropy, anisotropy_factor : float
        Probability that one axis is reduced and enlarged again; by Uniform(1, factor).
    precision : {"32-true", "bf16-mixed", "16-mixed"}
    channels_last : bool
        Memory layout of images and weights.
    compile : bool
        Training steps, by torch.compile.
    aggregation : AggregationConfig or None
        None takes the best on the validation pictures ("validation" in files).
    calibration : CalibrationConfig
    pairing : {"crossed", "full"}
        Which folds go with which tasks.
    allow_same_kind : bool
        Whether a task beyond the paper's five may be validated against its own kind.
    live : bool
        Synthesise while training instead of reading stored anomalies.
    seed : int
    """

    model_config = _STRICT

    detector: DetectorName = "multitask"
    network: NetworkConfig = NetworkConfig()
    positions: bool = True  # give the network position channels
    optimiser: OptimiserConfig = OptimiserConfig()
    batch_size: int = Field(default=8, ge=1)
    epochs: int = Field(default=2000, ge=1)  # at most
    patience_steps: int = Field(default=5000, ge=1)  # stop after so many steps without a better validation loss
    validate_every: int = Field(default=1, ge=1)  # epochs
    select_by: SelectBy = "loss"  # which validation figure decides the checkpoint and the patience
    flip: float = Field(default=0.5, ge=0, le=1)  # probability of a left-right flip
    anisotropy: float = Field(default=0.0, ge=0, le=1)  # probability that one axis is reduced and enlarged again
    anisotropy_factor: float = Field(default=5.0, gt=1)  # reduced by Uniform(1, this)
    precision: Literal["32-true", "bf16-mixed", "16-mixed"] = "32-true"
    channels_last: bool = False  # memory layout of images and weights
    compile: bool = False  # training steps, by torch.compile
    aggregation: ChosenAggregation = None  # "validation": the best on the validation pictures
    calibration: CalibrationConfig = CalibrationConfig()
    pairing: Pairing = "crossed"
    allow_same_kind: bool = False
    live: bool = False  # synthesise while training instead of reading stored anomalies
    seed: int = Field(default=0, ge=0)


def load_config(path: Path | None, shape: Sequence[int], overrides: Mapping[str, Any] | None = None) -> TrainingConfig:
    """Read a configuration for images of this shape.

    Parameters
    ----------
    path : Path or None
        YAML; None for the paper's settings: those for brains in 3D, those for chest X-rays in 2D, with fewer
        resolutions where the image is small.
    shape : sequence of D ints
        Spatial shape of the training images.
    overrides : mapping, optional
        Top-level keys that win over the file; None values are ignored.

    Returns
    -------
    TrainingConfig

    Raises
    ------
    SynthanomError
        Unreadable file, unknown keys (the nearest known one is named), values of a wrong type or out of range (all of
        them, each with its key's path).
    """
    given = {} if path is None else read_settings(path)
    given = {**given, **{k: v for k, v in (overrides or {}).items() if v is not None}}
    detector = _renamed(given.get("detector", "multitask"))
    config = parse_config(_merged(_defaults(shape, detector), given), origin=str(path or "configuration"))
    # a short run (--epochs 1) is validated once, at its end
    return config.model_copy(update={"validate_every": min(config.validate_every, config.epochs)})


def parse_config(content: dict[str, Any], *, origin: str = "configuration") -> TrainingConfig:
    """Check a configuration given as a dict; `origin` names it in messages.

    Raises
    ------
    SynthanomError
        As `load_config`.
    """
    content = {**content, "detector": _renamed(content.get("detector", "multitask"))}
    if isinstance(content.get("network"), str):
        content = {**content, "network": {"name": content["network"]}}
    try:
        _refuse_unknown(content, TrainingConfig)
        if isinstance(content.get("aggregation"), dict):
            refuse_unknown(content["aggregation"], AggregationConfig.model_fields, "aggregation.")
        config = TrainingConfig.model_validate(content)
        _check_network(config.network)
    except ValidationError as error:
        raise SynthanomError(f"{origin}: {_problems(error)}") from error
    except SynthanomError as error:
        raise SynthanomError(f"{origin}: {error}") from error
    needs = needs_of(config.detector)
    if needs.bottleneck and config.network.name in WITH_SKIPS:
        raise SynthanomError(
            f"{origin}: detector {config.detector} needs a network with a bottleneck, got {config.network.name}, whose "
            f"skip connections would copy the image; use network {needs.network} or one of your own"
        )
    try:
        if config.aggregation is not None:
            config.aggregation.build()
    except SynthanomError as error:
        raise SynthanomError(f"{origin}: aggregation: {error}") from error
    return config


def paper_defaults(shape: Sequence[int]) -> dict[str, Any]:
    """The settings that the paper has per number of spatial axes."""
    flat = len(shape) == 2
    network = {"name": "unet", "settings": {"base": 32, "resolutions": resolutions_for(shape, 7 if flat else 5)}}
    if flat:
        return {"network": network, "optimiser": {"learning_rate": 5e-3}, "batch_size": 50, "flip": 0.0}
    return {"network": network, "optimiser": {"learning_rate": 1e-3}, "batch_size": 8, "flip": 0.5}


def _defaults(shape: Sequence[int], detector: object) -> dict[str, Any]:
    """The paper's settings, with the network that the detector asks for: of the U-Net's size, to be comparable."""
    found = paper_defaults(shape)
    own = NEEDS[detector].network if isinstance(detector, str) and detector in NEEDS else "unet"
    if own == "unet":
        return found
    return {**found, "network": {**found["network"], "name": own}, "positions": False}


def resolutions_for(shape: Sequence[int], most: int) -> int:
    """How many resolutions suit images of this shape: at most `most`, and at least four voxels a side remain."""
    return max(2, min(most, (min(shape) // 4).bit_length()))


def _merged(defaults: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    """`given` over `defaults`, one level of nesting deep; a network that is named brings its own settings."""
    merged = {**defaults, **given}
    if isinstance(given.get("optimiser"), dict):
        merged["optimiser"] = {**defaults["optimiser"], **given["optimiser"]}
    network, own = given.get("network"), defaults["network"]["name"]
    if isinstance(network, dict) and network.get("name", own) == own:
        settings = network.get("settings", {})
        if isinstance(settings, dict):
            merged["network"] = {**network, "name": own, "settings": {**defaults["network"]["settings"], **settings}}
    if network == own:
        merged["network"] = defaults["network"]
    return merged


def _refuse_unknown(content: Mapping[str, Any], model: type[BaseModel], before: str = "") -> None:
    refuse_unknown(content, model.model_fields, before)
    for key, field in model.model_fields.items():
        inner, value = field.annotation, content.get(key)
        if isinstance(value, dict) and isinstance(inner, type) and issubclass(inner, BaseModel):
            _refuse_unknown(value, inner, f"{before}{key}.")


def _check_network(network: NetworkConfig) -> None:
    """Raise for a network that there is not, or for settings that ours do not take; foreign ones check themselves."""
    if network.name not in SETTINGS:
        if ":" not in network.name:
            raise SynthanomError(
                f"network.name: must be one of {', '.join(SETTINGS)} or package.module:Class, got {network.name!r}"
                f"{meant(network.name, SETTINGS)}"
            )
        return
    refuse_unknown(network.settings, SETTINGS[network.name], "network.settings.")
    for key, value in network.settings.items():
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise SynthanomError(f"network.settings.{key}: must be a whole number of at least 1, got {value!r}")


def _problems(error: ValidationError) -> str:
    """All that is wrong with the values, each with its key's path, in one line."""
    return "; and ".join(_problem(problem) for problem in error.errors(include_url=False))


def _problem(problem: Mapping[str, Any]) -> str:
    got, said = problem["input"], problem["msg"].replace("Input should be", "must be")
    text = f"{key_path(problem['loc'])}: {said}, got {got!r}"
    if problem["type"] == "literal_error":
        text += meant(got, re.findall(r"'([^']*)'", problem["ctx"]["expected"]))
    if problem["type"] == "float_type" and isinstance(got, str):
        text += "; in YAML a number with an exponent needs a point: 1.0e-3"
    return text
