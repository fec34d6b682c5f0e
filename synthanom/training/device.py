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
