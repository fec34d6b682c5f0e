"""A model as one ONNX file that takes prepared images: position channels inside, checked against onnxruntime."""

import json
import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from synthanom.detectors.abstract import AbstractDetector
from synthanom.errors import MissingExtra, SynthanomError
from synthanom.networks.positioned import PositionedNetwork
from synthanom.networks.positions import phase_steps
from synthanom.training.checkpoint import Model, ModelCard
from synthanom.volumes.write import write_bytes

KEY, KIND, FORMAT = "synthanom", "synthanom-onnx", 1
INPUT, OUTPUT = "image", "score_map"
CLOSE = 1e-4  # how far onnxruntime's map may lie from torch's
MOST_BYTES = 1_900_000_000  # of weights: a file of protobuf ends at 2 GiB


class TabledPositions(nn.Module):
    """Puts the position channels after the image's own, computed from one short table per axis.

    All channels of a volume would make a file of hundreds of megabytes. sin and cos of a sum of phases follow from
    those of each axis by the addition theorems, to float32's rounding.
    """

    linear: Tensor

    def __init__(self, network: nn.Module, shape: Sequence[int]) -> None:
        super().__init__()
        self.network = network
        self.shape = tuple(shape)
        steps = phase_steps(len(self.shape))
        for axis, side in enumerate(self.shape):
            reach = (side, *[1] * (len(self.shape) - 1 - axis))  # broadcasts over the axes before and after
            phases = (steps[:, axis, None] * (np.arange(side) / side)).reshape(-1, *[1] * axis, *reach)
            line = np.linspace(-1.0, 1.0, side).reshape(1, *[1] * axis, *reach)
            for name, values in (("line", line), ("sine", np.sin(phases)), ("cosine", np.cos(phases))):
                self.register_buffer(f"{name}{axis}", torch.from_numpy(values.astype(np.float32)))

    def forward(self, images: Tensor) -> Tensor:
        """(B, C, *S) -> (B, 1, *S), for the one shape S."""
        sine, cosine = self.get_buffer("sine0"), self.get_buffer("cosine0")
        for axis in range(1, len(self.shape)):
            other_sine, other_cosine = self.get_buffer(f"sine{axis}"), self.get_buffer(f"cosine{axis}")
            sine, cosine = (
                sine * other_cosine + cosine * other_sine,
                cosine * other_cosine - sine * other_sine,
            )
        lines = [self.get_buffer(f"line{axis}").expand(1, *self.shape) for axis in range(len(self.shape))]
        channels = torch.cat([*lines, sine, cosine])
        out: Tensor = self.network(torch.cat([images, channels.expand(images.shape[0], *channels.shape)], dim=1))
        return out


class ScoreMap(nn.Module):
    """A detector's score map as a module."""

    def __init__(self, detector: AbstractDetector) -> None:
        super().__init__()
        self.module = detector.module
        self.detector = detector

    def forward(self, images: Tensor) -> Tensor:
        """(B, C, *S) -> (B, *S)."""
        return self.detector.score_map(images)


def export_model(model: Model, path: Path, shape: Sequence[int] | None = None) -> float:
    """Write a model as ONNX: input ``image`` (batch, C, *S), float32, output ``score_map`` (batch, *S), not clipped.

    The batch is of any size, the spatial shape fixed. The file's metadata hold under ``synthanom`` what `model.json`
    says: preprocessing, aggregation, thresholds.

    Parameters
    ----------
    model : Model
        On the CPU.
    path : path ending in .onnx
        Written whole or not at all; another file than such an export is not written over.
    shape : sequence of D ints, optional
        Spatial shape of prepared images; the training images' by default.

    Returns
    -------
    float
        Largest difference between the maps of onnxruntime and torch for random images.

    Raises
    ------
    SynthanomError
        A path or shape that will not do, a network that cannot be exported, maps that differ by more than 1e-4.
    MissingExtra
        Without onnx, onnxscript and onnxruntime.
    """
    _check_extra()
    _check_target(path)
    sides = _checked_shape(model.card, shape)
    detector = model.detector
    if isinstance(detector.module, PositionedNetwork):
        detector = type(detector)(network=TabledPositions(detector.module.network, sides))
    size = sum(value.nbytes for value in model.detector.module.state_dict().values())
    if size > MOST_BYTES:
        raise SynthanomError(f"{path}: an ONNX file holds at most 2 GiB, the weights take {size / 1e9:.3g} GB")
    content = _exported(ScoreMap(detector).eval(), model.card, sides)
    difference = _difference(content, model, sides)
    if not difference <= CLOSE:
        raise SynthanomError(
            f"{path}: onnxruntime's map must be within {CLOSE} of torch's, got {difference:.3g} apart; nothing was "
            "written: the network has operations that the two compute differently"
        )
    write_bytes(path, content)
    return difference


def described(card: ModelCard, shape: Sequence[int]) -> dict[str, Any]:
    """What the file's metadata say, as JSON."""
    content = card.model_dump(mode="json", exclude={"kind", "format"})
    return {"kind": KIND, "format": FORMAT, **content, "input_shape": [card.channels, *shape], "clip": [0.0, 1.0]}


def _exported(module: nn.Module, card: ModelCard, shape: tuple[int, ...]) -> bytes:
    """The bytes of the file."""
    import onnx

    # two images: an exporter takes a batch of one for a constant
    example = torch.zeros((2, card.channels, *shape))
    batch = {0: torch.export.Dim("batch")}
    try:
        with _quiet(), torch.no_grad():
            program: Any = torch.onnx.export(
                module,
                (example,),
                dynamo=True,
                dynamic_shapes=(batch,),
                input_names=[INPUT],
                output_names=[OUTPUT],
                verbose=False,
            )
    except (torch.onnx.OnnxExporterError, RuntimeError) as error:
        raise SynthanomError(
            f"this network cannot be exported to ONNX: {' '.join(str(error).split())[:300]}; change its forward, or "
            "score with synthanom predict"
        ) from error
    proto: Any = program.model_proto
    # the exporter notes source lines with their paths on this machine
    for holder in (proto.graph, *proto.functions):
        for part in (*holder.node, *holder.value_info):
            del part.metadata_props[:]
            part.doc_string = ""
    for part in (*proto.graph.input, *proto.graph.output, *proto.graph.initializer, proto.graph):
        del part.metadata_props[:]
        part.doc_string = ""
    onnx.helper.set_model_props(proto, {KEY: json.dumps(described(card, shape), sort_keys=True, allow_nan=False)})
    content: bytes = proto.SerializeToString(deterministic=True)
    return content


def _difference(content: bytes, model: Model, shape: tuple[int, ...]) -> float:
    """Largest distance of the maps that onnxruntime and torch make of random images, one and two at a time."""
    import onnxruntime

    session: Any = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    rng = np.random.default_rng(0)
    largest = 0.0
    for count in (1, 2):
        images = rng.standard_normal((count, model.card.channels, *shape)).astype(np.float32)
        with torch.inference_mode():
            expected = model.detector.score_map(torch.from_numpy(images)).numpy()
        found = session.run([OUTPUT], {INPUT: images})[0]
        if found.shape != expected.shape:
            return float("inf")
        apart = np.abs(found - expected).max()
        largest = max(largest, float(apart) if np.isfinite(apart) else float("inf"))
    return largest


def _checked_shape(card: ModelCard, shape: Sequence[int] | None) -> tuple[int, ...]:
    sides = tuple(card.shape if shape is None else shape)
    if len(sides) != len(card.shape) or min(sides) < 1:
        raise SynthanomError(f"--shape must be {len(card.shape)} numbers of voxels, as the model has axes, got {sides}")
    return sides


def _check_extra() -> None:
    try:
        import onnx  # noqa: F401
        import onnxruntime  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise MissingExtra(f'export to ONNX needs {error.name}; pip install "synthanom[onnx]"') from error


def _check_target(path: Path) -> None:
    import onnx
    from google.protobuf.message import DecodeError

    if path.suffix != ".onnx":
        raise SynthanomError(f"{path}: a model is exported as ONNX; end the name in .onnx")
    if not path.parent.is_dir():
        raise SynthanomError(f"{path}: its folder must exist; make it first")
    if not path.exists():
        return
    try:
        ours = any(entry.key == KEY for entry in onnx.load(path, load_external_data=False).metadata_props)
    except (OSError, DecodeError):
        ours = False
    if not ours:
        raise SynthanomError(f"{path}: is no export of synthanom, and is not written over; name another file")


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the exporter's own remarks back: they are about torchvision and torch's inner workings."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
