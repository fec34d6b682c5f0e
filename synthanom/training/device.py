"""Which device to compute on."""

from typing import Literal

from synthanom.errors import SynthanomError

DeviceChoice = Literal["auto", "cpu", "cuda"]


def chosen_device(choice: DeviceChoice) -> Literal["cpu", "cuda"]:
    """``"cuda"`` where asked for or, for ``"auto"``, where there is one; else ``"cpu"``.

    Raises
    ------
    SynthanomError
        If a GPU is asked for and torch sees none.
    """
    import torch

    if choice == "cpu":
        return "cpu"
    if torch.cuda.is_available():
        return "cuda"
    if choice == "cuda":
        raise SynthanomError(
            "device cuda needs a GPU and a torch build for it, got none; use --device cpu, or install torch with CUDA"
        )
    return "cpu"


def checked_devices(devices: int, device: Literal["cpu", "cuda"], batch_size: int) -> None:
    """Raise unless so many devices can share a batch.

    Raises
    ------
    SynthanomError
    """
    import torch

    if not 1 <= devices <= batch_size:
        raise SynthanomError(
            f"devices must be 1 to batch_size, {batch_size}, as they share each batch, got {devices}; take fewer, or a "
            "larger batch_size"
        )
    if device == "cuda" and devices > torch.cuda.device_count():
        raise SynthanomError(
            f"devices must be at most {torch.cuda.device_count()}, the GPUs that torch sees, got {devices}; take fewer"
        )
