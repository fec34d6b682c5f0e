"""Batched twin of `reference`: runs of marked voxels are found on the device and joined on the host.

Runs are few, some hundred bytes of a picture's region, and joining them is a matter of microseconds for compiled code;
to let numbers spread through regions on the device took a hundred times the traffic of all else here.
"""

import torch
from torch import Tensor

from synthanom.kernels.components.cpu import join_windows
from synthanom.kernels.windows.gpu import upload


def label(region: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Number the face-connected components of all windows, in the order of windows and first voxels.

    Parameters
    ----------
    region : bool (N, *P), False in the padding

    Returns
    -------
    numbers : int32 (N, *P)
        1, 2, ... in the components, 0 outside.
    window : int64 (n,), host
        The window of each component.
    box : int64 (n, 2, 3), host
        First voxel and end (one after the last voxel) of its tight box.

    Notes
    -----
    Waits for the device to learn of the runs.
    """
    _, pz, py, px = region.shape
    row = torch.nn.functional.pad(region, (1, 1))
    edges = (row[..., 1:] != row[..., :-1]).flatten().nonzero().squeeze(1)  # a run's first voxel, its end, and so on
    found, window, box = join_windows(edges.cpu().numpy(), pz, py, px + 1)
    begins = region.clone()
    begins[..., 1:].logical_and_(~region[..., :-1])
    # in the order of voxels, as the edges are: how many runs have begun is the number of the run that goes on
    run = begins.flatten().cumsum(dim=0, dtype=torch.int32).view(region.shape)
    numbers = upload(found, region.device)[run.clamp_(min=1) - 1] if found.size else run
    return torch.where(region, numbers, 0), torch.from_numpy(window), torch.from_numpy(box)
