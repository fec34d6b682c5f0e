"""Small results on their way to the host while the device goes on working."""

from typing import Any

import numpy.typing as npt
import torch
from torch import Tensor


class HostCopy:
    """A tensor being copied to the host.

    It is queued behind the work that makes the tensor; `wait` waits for that alone, not for what was queued since.
    """

    def __init__(self, values: Tensor) -> None:
        self._event = None
        if values.device.type == "cuda":
            self._host = torch.empty(values.shape, dtype=values.dtype, pin_memory=True)
            self._host.copy_(values, non_blocking=True)
            self._event = torch.cuda.Event()  # type: ignore[no-untyped-call]
            self._event.record(torch.cuda.current_stream(values.device))
        else:
            self._host = values.cpu()

    def wait(self) -> npt.NDArray[Any]:
        """The values."""
        if self._event is not None:
            self._event.synchronize()
        return self._host.numpy()
