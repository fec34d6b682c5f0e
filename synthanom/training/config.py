"""How to train: a YAML file, checked strictly; what it leaves out is as in the paper."""

import difflib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from synthanom.detectors.needs import NEEDS, needs_of
from synthanom.errors import SynthanomError
from synthanom.metrics import Aggregation
from synthanom.networks.settings import SETTINGS, WITH_SKIPS
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
        Unreadable file, unknown keys (the nearest known one is named), values of a wrong type or out of range.
    """
    given = {} if path is None else _read(path)
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
    _refuse_unknown(content, TrainingConfig, origin, prefix="")
    if isinstance(content.get("aggregation"), dict):
        _refuse_unknown(content["aggregation"], AggregationConfig, origin, prefix="aggregation.")
    try:
        config = TrainingConfig.model_validate(content)
    except ValidationError as error:
        raise SynthanomError(f"{origin}: {_first_problem(error)}") from error
    if config.network.name in SETTINGS:
        _refuse_keys(config.network.settings, SETTINGS[config.network.name], origin, "network.settings.")
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
        raise SynthanomError(f"{origin}: {error}") from error
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


def _read(path: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise SynthanomError(f"{path}: must be a readable YAML file, got: {reason}; correct it") from error
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise SynthanomError(f"{path}: must hold settings as key: value, got {type(content).__name__}")
    return content


def _refuse_unknown(content: dict[str, Any], model: type[BaseModel], origin: str, *, prefix: str) -> None:
    _refuse_keys(content, tuple(model.model_fields), origin, prefix)
    for key, field in model.model_fields.items():
        inner, value = field.annotation, content.get(key)
        if isinstance(value, dict) and isinstance(inner, type) and issubclass(inner, BaseModel):
            _refuse_unknown(value, inner, origin, prefix=f"{prefix}{key}.")


def _refuse_keys(content: Mapping[str, Any], known: Sequence[str], origin: str, prefix: str) -> None:
    for key in content:
        if key not in known:
            near = difflib.get_close_matches(str(key), known, n=1, cutoff=0.5)
            hint = f"did you mean {prefix}{near[0]}?" if near else f"known are {', '.join(known)}"
            raise SynthanomError(f"{origin}: unknown setting {prefix}{key}; {hint}")


def _first_problem(error: ValidationError) -> str:
    problem = error.errors(include_url=False)[0]
    where = ".".join(str(part) for part in problem["loc"])
    got = problem["input"]
    text = f"{where}: {problem['msg'].lower()}, got {got!r}"
    if problem["type"] == "float_type" and isinstance(got, str):
        text += "; in YAML a number with an exponent needs a point: 1.0e-3"
    return text
