"""How a training step is carried out: memory layout and compiling. Results differ by rounding only."""

import random
from typing import Any

import torch
from torch import Tensor, nn

from synthanom.errors import SynthanomError

LAYOUTS: dict[int, Any] = {4: torch.channels_last, 5: torch.channels_last_3d}  # by axes, batch and channels included


def channels_last(images: Tensor) -> Tensor:
    """The same images (B, C, *S) with the channels of a voxel side by side in memory."""
    return images.contiguous(memory_format=LAYOUTS[images.ndim])


def lay_out(module: nn.Module) -> None:
    """Bring the weights of convolutions into that layout, in place; names, shapes and values stay."""
    for parameter in module.parameters():
        if parameter.ndim in LAYOUTS:
            parameter.data = channels_last(parameter.data)


def check_compiler(device: str) -> None:
    """Compile and run a trifle.

    Raises
    ------
    SynthanomError
        If it cannot be done here.
    """
    factor = random.SystemRandom().random()  # what was compiled before would be found again without a compiler
    try:
        torch.compile(lambda values: values * factor)(torch.ones(16, device=device))
    except Exception as error:  # torch, its back ends and compilers each raise kinds of their own
        said = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
        missing = "Triton" if device == "cuda" else "a C++ compiler and Python's headers"
        raise SynthanomError(
            f"compile: true needs {missing}, and a trial ended with: {said[:200]}; install what is missing, or leave "
            "compile out of the configuration"
        ) from error
