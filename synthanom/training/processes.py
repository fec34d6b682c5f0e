"""Several processes that train one model together: starting the others, and what they exchange besides gradients."""

import io
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import distributed

from synthanom.errors import SynthanomError
from synthanom.metrics import RankingAccumulator

MEMBER = "synthanom.training.member"
PATIENCE = 20.0  # seconds for another process to end by itself
RANK_NAMES = ("MASTER_ADDR", "MASTER_PORT", "WORLD_SIZE", "NODE_RANK", "LOCAL_RANK")


@contextmanager
def others(request: Mapping[str, Any], ranks: int, logs: Path) -> Iterator[None]:
    """While the block runs, this process is the first of `ranks`, and the others work beside it.

    Parameters
    ----------
    request : mapping
        JSON that tells `synthanom.training.member` what to train.
    ranks : int
        With 1 nothing happens.
    logs : Path
        Folder for what the others write to stderr; removed where all went well.

    Raises
    ------
    SynthanomError
        If another process ended by itself before the block did.
    """
    if ranks == 1:
        yield
        return
    before = {name: os.environ.get(name) for name in RANK_NAMES}
    shared = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(_free_port()), "WORLD_SIZE": str(ranks), "NODE_RANK": "0"}
    os.environ.update(shared | {"LOCAL_RANK": "0"})
    started: list[tuple[subprocess.Popen[bytes], Path]] = []
    with ExitStack() as stack:
        stack.callback(_restore, before)
        stack.callback(_end, started)
        for rank in range(1, ranks):
            path = logs / f"process-{rank}.txt"
            file = stack.enter_context(path.open("wb"))
            words = [sys.executable, "-m", MEMBER, json.dumps(dict(request))]
            environment = {**os.environ, "LOCAL_RANK": str(rank)}
            process = subprocess.Popen(words, env=environment, stdin=subprocess.DEVNULL, stdout=file, stderr=file)
            started.append((process, path))
        try:
            yield
        except RuntimeError as error:
            # the collective operations of torch say that a peer is gone, and not why
            raise _reason(started, ranks) or error from error
        _join(started, ranks)


def merged_ranking(ranking: RankingAccumulator) -> RankingAccumulator:
    """The rankings of all processes as one; this one alone where there is one process."""
    if not (distributed.is_available() and distributed.is_initialized() and distributed.get_world_size() > 1):
        return ranking
    content = io.BytesIO()
    np.savez(content, allow_pickle=False, **ranking.to_arrays())
    merged = RankingAccumulator()
    for part in _gathered(content.getvalue()):
        with np.load(io.BytesIO(part), allow_pickle=False) as arrays:
            merged.merge(RankingAccumulator.from_arrays(arrays))
    return merged


def end_group() -> None:
    """Leave the group of processes, so that a later run can make another."""
    if distributed.is_available() and distributed.is_initialized():
        distributed.destroy_process_group()


def _gathered(content: bytes) -> list[bytes]:
    """What every process gives here, in their order; padded to the longest on its way."""
    ranks = distributed.get_world_size()
    device = torch.device("cuda") if distributed.get_backend() == "nccl" else torch.device("cpu")
    raw = torch.frombuffer(bytearray(content), dtype=torch.uint8).to(device)
    sizes = [torch.zeros(1, dtype=torch.int64, device=device) for _ in range(ranks)]
    distributed.all_gather(sizes, torch.tensor([raw.numel()], device=device))
    padded = torch.zeros(max(int(size) for size in sizes), dtype=torch.uint8, device=device)
    padded[: raw.numel()] = raw
    parts = [torch.empty_like(padded) for _ in range(ranks)]
    distributed.all_gather(parts, padded)
    return [part[: int(size)].cpu().numpy().tobytes() for part, size in zip(parts, sizes, strict=True)]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _restore(before: Mapping[str, str | None]) -> None:
    for name, value in before.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


def _join(started: list[tuple["subprocess.Popen[bytes]", Path]], ranks: int) -> None:
    for process, path in started:
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            continue  # ended below: the model is whole, nothing is waited for
        if process.returncode == 0:
            path.unlink(missing_ok=True)
    problem = _reason(started, ranks)
    if problem is not None:
        raise problem


def _reason(started: list[tuple["subprocess.Popen[bytes]", Path]], ranks: int) -> SynthanomError | None:
    """What another process that failed said last; None if none did."""
    for rank, (process, path) in enumerate(started, 1):
        try:
            status = process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            continue
        if status:
            lines = path.read_text(errors="replace").strip().splitlines() or ["nothing"]
            last = lines[-1].removeprefix("error: ")
            return SynthanomError(
                f"process {rank + 1} of {ranks} ended with status {status}: {last}; {path} has all that it said"
            )
    return None


def _end(started: list[tuple["subprocess.Popen[bytes]", Path]]) -> None:
    """End whatever still runs."""
    for process, _ in started:
        if process.poll() is None:
            process.terminate()
    for process, _ in started:
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
