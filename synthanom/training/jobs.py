"""Several runs at once on one machine, each as a command of its own, on a GPU of its own where there are GPUs."""

import os
import time
from collections import deque
from collections.abc import Generator, Sequence
from typing import Any

from synthanom.errors import SynthanomError
from synthanom.training.own_process import Command, collected, end, started

SECONDS = 0.2  # between looks at what has ended


def run_at_once(arguments: Sequence[Sequence[str]], jobs: int, gpus: int) -> Generator[dict[str, Any], None, None]:
    """Run the training command with each of these arguments, `jobs` at a time; yield its JSON answer as each ends.

    Parameters
    ----------
    arguments : sequence of sequences of str
        Of the command, without `--json`.
    jobs : int
    gpus : int
        Slot k sees the GPU k modulo `gpus` and no other; 0 leaves the environment alone.

    Raises
    ------
    SynthanomError
        If a run failed, after all the others have ended; each keeps its log and goes on with the same command.
    """
    waiting = deque(arguments)
    running: dict[int, Command] = {}
    failed: list[str] = []
    try:
        while waiting or running:  # every turn waits for commands that end by themselves
            for slot in range(jobs):
                if slot not in running and waiting:
                    running[slot] = started(waiting.popleft(), _environment(slot, gpus))
            for slot, command in list(running.items()):
                if command.process.poll() is not None:
                    del running[slot]
                    ended = collected(command)
                    if ended.problem:
                        failed.append(ended.problem)
                    else:
                        yield ended.answer
            time.sleep(SECONDS)
    finally:
        end(list(running.values()))
    if failed:
        raise SynthanomError(
            f"{len(failed)} of {len(arguments)} runs failed, the first with: {failed[0]}; the others are done, and the "
            "same command goes on with these"
        )


def visible_gpus() -> list[str]:
    """The GPUs that a command may share out, by the names that CUDA_VISIBLE_DEVICES gives or by number."""
    import torch

    named = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    count = torch.cuda.device_count()
    return [name for name in named.split(",") if name][:count] if named else [str(k) for k in range(count)]


def _environment(slot: int, gpus: int) -> dict[str, str]:
    environment = dict(os.environ)
    if gpus:
        environment["CUDA_VISIBLE_DEVICES"] = visible_gpus()[slot % gpus]
    return environment
