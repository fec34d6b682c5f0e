"""Which network a configuration or a model file asks for."""

import importlib
import inspect
from typing import Any

from torch import nn

from synthanom.errors import SynthanomError
from synthanom.nearest import meant
from synthanom.networks.autoencoder import ConvolutionalAutoencoder
from synthanom.networks.unet import UNet

OURS: dict[str, type[nn.Module]] = {"unet": UNet, "autoencoder": ConvolutionalAutoencoder}


def build_network(
    name: str,
    settings: dict[str, Any],
    *,
    dims: int,
    in_channels: int,
    out_channels: int = 1,
    allow_import: bool = False,
) -> nn.Module:
    """Build a network.

    Parameters
    ----------
    name : str
        ``"unet"``, ``"autoencoder"``, or ``"package.module:Class"`` for a torch module of the user's own.
    settings : dict
        Keyword arguments of the class. A foreign class is also given those of `dims`, `spatial_dims`, `in_channels`
        and `out_channels` that its signature names and the settings do not.
    dims, in_channels, out_channels : int
        Spatial axes, channels going in (position channels included) and coming out.
    allow_import : bool
        Importing a class runs its code: True only where a person named it, never on a model file's word alone.

    Returns
    -------
    torch.nn.Module

    Raises
    ------
    SynthanomError
        An unknown name, an import that is not allowed or fails, settings the class refuses.
    """
    offered = {"dims": dims, "spatial_dims": dims, "in_channels": in_channels, "out_channels": out_channels}
    if name in OURS:
        own = {key: value for key, value in offered.items() if key != "spatial_dims"}
        return _call(OURS[name], name, {**settings, **own})
    if ":" not in name:
        raise SynthanomError(
            f"network must be one of {', '.join(OURS)} or package.module:Class, got {name!r}{meant(name, OURS)}"
        )
    if not allow_import:
        raise SynthanomError(
            f"network {name!r} would import and run foreign code; if you trust it, allow it: "
            "load_model(..., allow_import=True), or name it in your own --config"
        )
    factory = _imported(name)
    wanted = inspect.signature(factory).parameters
    return _call(factory, name, {**{k: v for k, v in offered.items() if k in wanted}, **settings})


def _imported(name: str) -> type[nn.Module]:
    module_name, _, attribute = name.partition(":")
    try:
        factory = getattr(importlib.import_module(module_name), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise SynthanomError(
            f"network {name!r} cannot be imported: {error}; install its package or correct the name"
        ) from error
    if not (isinstance(factory, type) and issubclass(factory, nn.Module)):
        raise SynthanomError(f"network {name!r} must name a class of torch modules, got {factory!r}; name one")
    return factory


def _call(factory: type[nn.Module], name: str, arguments: dict[str, Any]) -> nn.Module:
    try:
        return factory(**arguments)
    except TypeError as error:
        raise SynthanomError(f"network {name!r} refuses its settings: {error}; correct network.settings") from error
