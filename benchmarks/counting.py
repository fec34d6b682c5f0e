"""What a piece of torch code asks of its device: calls, bytes, products."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

VIEWS = {"aten::view", "aten::expand", "aten::slice", "aten::select", "aten::unsqueeze", "aten::transpose"}
VIEWS |= {"aten::permute", "aten::alias", "aten::detach", "aten::as_strided", "aten::unbind", "aten::split"}
VIEWS |= {"aten::squeeze", "aten::_unsafe_view", "aten::narrow", "aten::t", "aten::diagonal", "aten::unfold"}
PICK = {"aten::index", "aten::index_select", "aten::gather", "aten::take", "aten::grid_sampler_2d"}
PICK |= {"aten::grid_sampler_3d"}
PUT = {"aten::index_put_", "aten::scatter_", "aten::scatter_reduce_", "aten::index_copy_", "aten::_index_put_impl_"}
MAKE_ROOM = {"aten::empty", "aten::new_empty", "aten::empty_like", "aten::empty_strided", "aten::_pin_memory"}


@dataclass
class Demand:
    """What was asked for.

    Attributes
    ----------
    calls : operations that do work; on a GPU one kernel each, or a few
    bytes : what they read and write, each operand once; expanded operands count as small as they are
    flops : of matrix products, two per multiplication and sum
    looks : operations whose result the host waits for
    """

    calls: int = 0
    bytes: int = 0
    flops: int = 0
    looks: int = 0

    def seconds(self, per_call: float, bandwidth: float, rate: float) -> dict[str, float]:
        """What each of these takes at least, alone, in seconds: calls, bytes per second, operations per second."""
        return {"calls": self.calls * per_call, "bytes": self.bytes / bandwidth, "flops": self.flops / rate}


class Counting(TorchDispatchMode):
    """Counts while it is entered."""

    def __init__(self) -> None:
        super().__init__()
        self.demand = Demand()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run one operation and count it."""
        out = func(*args, **(kwargs or {}))
        name = func._schema.name
        if name not in VIEWS and name not in MAKE_ROOM:
            self.demand.calls += 1
            self.demand.bytes += moved(name, args, kwargs or {}, out)
            if name in ("aten::bmm", "aten::mm", "aten::baddbmm", "aten::addmm"):
                result, left = next(tensors(out)), next(t for t in tensors(args) if t.ndim >= 2)
                self.demand.flops += 2 * result.numel() * left.shape[-1]
            self.demand.looks += name in ("aten::_local_scalar_dense", "aten::nonzero", "aten::is_nonzero")
        return out


def moved(name: str, args: Any, kwargs: Any, out: Any) -> int:
    """Bytes that an operation reads and writes; of what it picks from or puts into, as much as it picks or puts."""
    given, made = [*tensors(args), *tensors(kwargs)], sum(stored(t) for t in tensors(out))
    if name in PICK:
        return made + min(stored(given[0]), made) + sum(stored(t) for t in given[1:])
    if name in PUT:
        return 2 * sum(stored(t) for t in given[1:])
    return made + sum(stored(t) for t in given)


def tensors(tree: Any) -> Iterator[torch.Tensor]:
    """All tensors in nested arguments."""
    if isinstance(tree, torch.Tensor):
        yield tree
    elif isinstance(tree, list | tuple):
        for part in tree:
            yield from tensors(part)
    elif isinstance(tree, dict):
        yield from tensors(list(tree.values()))


def stored(tensor: torch.Tensor) -> int:
    """Bytes behind a tensor: axes that are only repeated do not count."""
    count = 1
    for side, step in zip(tensor.shape, tensor.stride(), strict=True):
        count *= side if step != 0 else 1
    return count * tensor.element_size()
