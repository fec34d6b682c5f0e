"""Several processes that train one model together: starting the others, and what they exchange besides gradients."""

import io
import json
import os
import select
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import distributed

from synthanom.errors import SynthanomError
from synthanom.metrics import RankingAccumulator

MEMBER = "synthanom.training.member"
START = 600.0  # seconds for another process to begin
PATIENCE = 20.0  # seconds for another process to end by itself
READY = b"1"
RANK_NAMES = ("MASTER_ADDR", "MASTER_PORT", "WORLD_SIZE", "NODE_RANK", "LOCAL_RANK")


@dataclass(frozen=True, kw_only=True, eq=False)
class Member:
    """Another process: what it writes to stderr goes to `path`, and it says on `ready` that it has made its model."""

    process: "subprocess.Popen[bytes]"
    path: Path
    ready: int  # end of a pipe to read from


@dataclass(frozen=True, kw_only=True, eq=False)
class Members:
    """The processes besides this one."""

    ranks: int
    started: list[Member] = field(default_factory=list)

    def wait(self) -> None:
        """Wait until all have made their models: whoever fails in that would be waited for in vain later.

        Raises
        ------
        SynthanomError
            If one ends or does not come.
        """
        for member in self.started:
            told, _, _ = select.select([member.ready], [], [], START)
            if not told or os.read(member.ready, 1) != READY:
                raise self.problem() or SynthanomError(
                    f"all {self.ranks} processes must begin within {START:.0f} s, and one did not; use fewer --devices"
                )

    def problem(self) -> SynthanomError | None:
        """What another process that failed said last; None if none did."""
        for rank, member in enumerate(self.started, 1):
            try:
                status = member.process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                continue
            if status:
                lines = member.path.read_text(encoding="utf-8", errors="replace").strip().splitlines() or ["nothing"]
                last = lines[-1].removeprefix("error: ")
                return SynthanomError(
                    f"process {rank + 1} of {self.ranks} ended with status {status}: {last}; {member.path} has all "
                    "that it said"
                )
        return None

    def join(self) -> None:
        """Let all come to their end, and forget what those said that did well.

        Raises
        ------
        SynthanomError
            If one failed.
        """
        found = self.problem()
        if found is not None:
            raise found
        for member in self.started:
            member.path.unlink(missing_ok=True)

    def end(self) -> None:
        """End whatever still runs."""
        for member in self.started:
            if member.process.poll() is None:
                member.process.terminate()
        for member in self.started:
            try:
                member.process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                member.process.kill()
                member.process.wait()
            os.close(member.ready)


@contextmanager
def others(request: Mapping[str, Any], ranks: int, logs: Path) -> Iterator[Members]:
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
    members = Members(ranks=ranks)
    if ranks == 1:
        yield members
        return
    if os.name == "nt":
        raise SynthanomError(
            f"--devices must be 1 on Windows, whose processes share no pipes, got {ranks}; leave it out"
        )
    before = {name: os.environ.get(name) for name in RANK_NAMES}
    shared = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(_free_port()), "WORLD_SIZE": str(ranks), "NODE_RANK": "0"}
    os.environ.update(shared | {"LOCAL_RANK": "0"})
    try:
        for rank in range(1, ranks):
            members.started.append(_started(request, rank, logs / f"process-{rank}.txt"))
        try:
            yield members
        except RuntimeError as error:
            # the collective operations of torch say that a peer is gone, and not why
            raise members.problem() or error from error
        members.join()
    finally:
        members.end()
        _restore(before)


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


def _started(request: Mapping[str, Any], rank: int, path: Path) -> Member:
    read, write = os.pipe()
    try:
        with path.open("wb") as file:
            process = subprocess.Popen(
                [sys.executable, "-m", MEMBER, json.dumps(dict(request)), str(write)],
                env={**os.environ, "LOCAL_RANK": str(rank)},
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                pass_fds=(write,),
            )
    finally:
        os.close(write)  # the other's end closes with it, so that the pipe ends when it does
    return Member(process=process, path=path, ready=read)
