"""Untrained networks whose output shows their input: a U-Net's head starts at zero."""

import torch

from synthanom.networks.unet import UNet


def lively(module: torch.nn.Module) -> torch.nn.Module:
    """Give the heads of the U-Nets in a module random weights."""
    for part in module.modules():
        if isinstance(part, UNet):
            torch.nn.init.kaiming_normal_(part.head.weight, a=0.01)
    return module
