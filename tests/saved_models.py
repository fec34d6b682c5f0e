"""Model folders for tests of prediction: untrained, or a network that shows its input."""

from pathlib import Path

import torch
from lively import lively

from synthanom.preprocess import Pipeline, default_pipeline
from synthanom.training.checkpoint import ModelCard, build_detector, save_model, versions
from synthanom.training.config import AggregationConfig, NetworkConfig

UNET = NetworkConfig(name="unet", settings={"base": 2, "resolutions": 2})
SHOWS_INPUT = NetworkConfig(name="saved_models:FirstChannel", settings={})


class FirstChannel(torch.nn.Module):
    """Its map is the first channel of the prepared image, times a weight."""

    def __init__(self, *, in_channels: int, gain: float = 1.0) -> None:
        super().__init__()
        self.gain = torch.nn.Parameter(torch.tensor(gain))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x[:, :1] * self.gain


def write_model(
    folder: Path, *, pipeline: Pipeline | None = None, shape=(16, 16), channels=1, network=UNET, seed=0, **changes
) -> Path:
    """Write the two model files."""
    torch.manual_seed(seed)
    positions = network is UNET
    detector = build_detector(network, channels=channels, shape=shape, positions=positions, allow_import=True)
    steps = pipeline or default_pipeline("picture" if len(shape) == 2 else "volume")
    card = ModelCard(
        detector="multitask",
        network=network,
        positions=positions,
        channels=channels,
        shape=shape,
        preprocessing=steps.to_dict(),
        aggregation=AggregationConfig(),
        thresholds={"pixel": 0.5},
        training={},
        versions=versions(),
        weights_sha256="0" * 64,
    ).model_copy(update=changes)
    folder.mkdir(parents=True, exist_ok=True)
    save_model(folder, lively(detector.module), card)
    return folder
