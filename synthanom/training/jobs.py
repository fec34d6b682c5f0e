"""Several runs at once on one machine, each as a command of its own, on a GPU of its own where there are GPUs."""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import IO, Any

from synthanom.errors import SynthanomError

SECONDS = 0.2  # between looks at what has ended
PATIENCE = 30.0  # seconds for a run to clean up when all are to end
MODULE = "synthanom.training.cli"


@dataclass(frozen=True, kw_only=True, eq=False)
class _Job:
    number: int
    process: "subprocess.Popen[bytes]"
    out: IO[bytes]
    err: IO[bytes]


def run_at_once(arguments: Sequence[Sequence[str]], jobs: int, gpus: int) -> Iterator[dict[str, Any]]:
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
    waiting = deque(enumerate(arguments))
    running: dict[int, _Job] = {}
    failed: list[str] = []
    try:
        while waiting or running:  # every turn waits for commands that end by themselves
            for slot in range(jobs):
                if slot not in running and waiting:
                    number, words = waiting.popleft()
                    running[slot] = _started(number, words, slot, gpus)
            for slot, job in list(running.items()):
                if job.process.poll() is not None:
                    del running[slot]
                    answer, problem = _collected(job)
                    if problem:
                        failed.append(problem)
                    else:
                        yield answer
            time.sleep(SECONDS)
    finally:
        _end(list(running.values()))
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


def _started(number: int, words: Sequence[str], slot: int, gpus: int) -> _Job:
    environment = dict(os.environ)
    if gpus:
        environment["CUDA_VISIBLE_DEVICES"] = visible_gpus()[slot % gpus]
    out, err = tempfile.TemporaryFile(), tempfile.TemporaryFile()  # noqa: SIM115 (closed when they were read)
    process = subprocess.Popen(
        [sys.executable, "-m", MODULE, *words, "--json"],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=out,
        stderr=err,
    )
    return _Job(number=number, process=process, out=out, err=err)


def _collected(job: _Job) -> tuple[dict[str, Any], str]:
    """The answer of a run that ended, or what went wrong."""
    with job.out, job.err:
        for file in (job.out, job.err):
            file.seek(0)
        answer, words = job.out.read().decode(errors="replace"), job.err.read().decode(errors="replace")
    with contextlib.suppress(ValueError):
        found = json.loads(answer)
        if job.process.returncode == 0:
            return found["runs"][0], ""
        words = str(found.get("error", words))
    return {}, " ".join(words.split())[-500:] or f"exit status {job.process.returncode}"


def _end(jobs: Sequence[_Job]) -> None:
    """End what still runs; each keeps its last state."""
    for job in jobs:
        if job.process.poll() is None:
            job.process.terminate()
    for job in jobs:
        try:
            job.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            job.process.kill()
            job.process.wait()
        job.out.close()
        job.err.close()
