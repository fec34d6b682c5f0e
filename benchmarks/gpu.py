"""Batches of samples on a device, label included: python benchmarks/gpu.py

For every case and batch size: all pictures and labels are compared with the baseline of scipy and scikit-image
(benchmarks/baseline.py), then batches of all five tasks are timed (median; on a CUDA device by events, after warming
up), as are their parts, the network at the paper's settings, and the copy bandwidth. What the batch asks
of its device (calls, bytes, products) is counted; from that follows what another device would need at least.

It runs on the CPU too, where its times say nothing about a GPU.
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any
from unittest import mock

import baseline
import cases
import counting
import machine
import numpy as np
import pages
import torch

from synthanom import donors as donor_sets
from synthanom.batched import applying
from synthanom.batched.inputs import BatchInputs
from synthanom.batched.making import make_batch
from synthanom.batched.pool import DonorPool
from synthanom.batched.sketching import Sketcher
from synthanom.batched.stream_states import states_of
from synthanom.batched.tables import task_table
from synthanom.labels import FlippedGaussian
from synthanom.networks.positioned import PositionedNetwork, input_channels
from synthanom.networks.registry import build_network
from synthanom.recipe import SynthesisOptions
from synthanom.sample import Sample
from synthanom.streams import KeyedStreams
from synthanom.synthesis import Batch
from synthanom.tasks import PAPER_TASKS, TASKS

PAGE = Path(__file__).parents[1] / "docs" / "speed.md"
LABELLER = FlippedGaussian()
TOLERANCE = 1e-3  # of the range of the picture, and of the label
TARGETS = {"a": 30_000, "b": 3_000, "c": 300}  # samples per second on one H200
SIZES = {"cuda": {"a": (256, 1024, 4096), "b": (64, 256), "c": (16, 64)}, "cpu": {"a": (32,), "b": (8,), "c": (4,)}}
COUNTED = {"a": (256, 1024), "b": (32, 128), "c": (4, 16)}  # batch sizes whose demands are counted
QUICK_SIZE = 5
DRAWN = 1024  # samples of the batches whose drawing is timed by itself
REPEATS = {"cuda": 10, "cpu": 3}
CHECKED = 20  # samples of each case that are compared with the baseline
PICTURES = 4  # distinct ones in a batch
# an H200 as its maker describes it, less what is seldom reached: launches from Python, HBM3e, float32 without TF32
H200 = {"per_call": 6e-6, "bandwidth": 0.75 * 4.8e12, "rate": 0.6 * 67e12}
PARTS = (  # of a batch, where each is called
    (Sketcher, "__call__", "draw"),
    (applying, "placed", "place"),
    (applying, "blend", "blend"),
    (applying, "deform", "deform"),
    (applying, "change", "intensity"),
    (applying, "label_boxes", "label"),
)
HEAD = """Measured on {date}, {device}, torch {torch}; copying {copy_gb:.0f} GB/s (read and written).

A batch holds all five tasks in turn and is everything: drawing, one to four anomalies, the label; donors lie in a pool.
The floor reads the images once and writes pictures and labels once. "Compared" samples agreed with the baseline within
0.001 of the range, but for the ties, where rounding decides between gradients of equal size. "By samples" is the share
that had to be left to `synthesise`. Drawing is the compiled call alone, in batches of 1024.
"""
ESTIMATE = """### What a batch asks of its device, and what one H200 would need at least

Counted, not measured: operations (each a launch or a few), the bytes that they read and write, the products, and how
often the host waits. Assumed: {call_us:.0f} microseconds per call, {tb:.1f} TB/s, {tflops:.0f} TFLOP/s. Calls queue up
while the device works: the larger of calls and of bytes plus products bounds the rate.
"""
NETWORK = """### The network's step, for scale

The paper's network at its batch size; on a CPU with one sample.
"""
NETWORKS = {"a": (50, {"base": 32, "resolutions": 7}), "b": (8, {"base": 32, "resolutions": 5})}


@dataclass(frozen=True, kw_only=True)
class Work:
    """A case at one batch size on one device."""

    case: cases.Case
    size: int
    device: torch.device

    @cached_property
    def samples(self) -> list[Sample]:
        """The few pictures that fill the batch."""
        first = cases.picture(self.case)
        return [first, *cases.donors(self.case)["intra_blend"]][:PICTURES]

    @cached_property
    def images(self) -> torch.Tensor:
        """(B, C, *S)."""
        few = torch.from_numpy(np.stack([s.image for s in self.samples])).to(self.device)
        return few[torch.arange(self.size, device=self.device) % len(self.samples)]

    @cached_property
    def foregrounds(self) -> torch.Tensor:
        """bool (B, *S)."""
        few = torch.from_numpy(np.stack([s.foreground for s in self.samples])).to(self.device)
        return few[torch.arange(self.size, device=self.device) % len(self.samples)]

    @cached_property
    def donors(self) -> dict[str, list[Sample]]:
        """Whom the blending tasks borrow from."""
        return cases.donors(self.case)

    @cached_property
    def pool(self) -> DonorPool:
        """The donors on the device."""
        return DonorPool(self.donors, self.device)

    def inputs(self, draw: int) -> BatchInputs:
        """A batch of all tasks; another for every draw."""
        tasks = [TASKS[name]() for name in PAPER_TASKS]  # those with a batched form
        names = [(0, f"s-{i}", "all", draw) for i in range(self.size)]
        people = [self.samples[i % len(self.samples)].subject for i in range(self.size)]
        return BatchInputs(
            images=self.images,
            foregrounds=self.foregrounds,
            ids=[name[1] for name in names],
            subjects=people,
            spacings=[None] * self.size,
            tasks=[tasks[i % len(tasks)] for i in range(self.size)],
            donors=[self.donors] * self.size,
            options=SynthesisOptions(),
            generators=KeyedStreams.named(names),
        )

    def make(self, draw: int) -> Batch:
        """Make a batch."""
        return make_batch(self.inputs(draw), LABELLER, self.pool).batch

    def wait(self) -> None:
        """Wait until the device has done all that was asked."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)


def main() -> None:
    """Check, measure, print, and with --write keep the tables in docs/speed.md."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--case", action="append", help="only this case; may be repeated")
    parser.add_argument("--size", action="append", type=int, help="only this batch size; may be repeated")
    parser.add_argument("--quick", action="store_true", help="tiny pictures: is everything in order?")
    parser.add_argument("--write", action="store_true", help=f"write {PAGE.parent.name}/{PAGE.name}")
    parser.add_argument("--json", action="store_true", help="print the rows as JSON")
    arguments = parser.parse_args()
    device = torch.device(arguments.device)
    chosen = cases.QUICK if arguments.quick else tuple(case for case in cases.CASES if case.name in TARGETS)
    if arguments.case:
        chosen = tuple(case for case in chosen if case.name in arguments.case)
    limits = {"date": time.strftime("%Y-%m-%d"), "device": name_of(device), "copy": bandwidth(device)}
    rows = []
    for case in chosen:
        sizes = arguments.size or ((QUICK_SIZE,) if arguments.quick else SIZES[device.type][case.name])
        rows += [measure(Work(case=case, size=size, device=device), limits["copy"]) for size in sizes]
    counted = []
    for case in chosen:
        sizes = arguments.size or ((QUICK_SIZE,) if arguments.quick else COUNTED[case.name])
        counted += [demand(Work(case=case, size=size, device=device)) for size in sizes]
    steps = [] if arguments.quick else [network_step(name, device) for name in NETWORKS if named(chosen, name)]
    text = page(limits, rows, counted, steps)
    print(json.dumps({"limits": limits, "rows": rows, "counted": counted, "steps": steps}) if arguments.json else text)
    if arguments.write:
        pages.put(PAGE, "batches", text)


def named(chosen: Sequence[cases.Case], name: str) -> bool:
    """Whether a case of this name is measured."""
    return any(case.name == name for case in chosen)


def name_of(device: torch.device) -> str:
    """What the device calls itself."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else machine.cpu_model()


def bandwidth(device: torch.device) -> float:
    """Bytes per second of a copy on the device, counting what is read and what is written."""
    source = torch.ones(2**28 if device.type == "cuda" else 2**25, device=device)
    target = torch.empty_like(source)
    return 2 * source.numel() * 4 / statistics.median(times(lambda: target.copy_(source), device, 7))


def times(call: Callable[[], object], device: torch.device, repeats: int) -> list[float]:
    """Seconds of some calls after one that is not counted; by events on a CUDA device."""
    call()
    found = []
    for _ in range(repeats):
        if device.type == "cuda":
            begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
            begin.record()
            call()
            end.record()
            torch.cuda.synchronize(device)
            found.append(begin.elapsed_time(end) / 1e3)
        else:
            start = time.perf_counter()
            call()
            found.append(time.perf_counter() - start)
    return found


def measure(work: Work, copy: float) -> dict[str, Any]:
    """The figures of one case at one batch size."""
    print(f"{work.case.name}: batches of {work.size} on {work.device}", file=sys.stderr)
    ties = check(work)
    draws = iter(range(1, 10_000))
    repeats = REPEATS[work.device.type]
    median = statistics.median(times(lambda: work.make(next(draws)), work.device, repeats))
    voxels = int(np.prod(work.case.shape))
    floor = work.size * voxels * (8 * work.case.channels + 4) / copy
    return {
        "case": work.case.name,
        "size": work.size,
        "checked": min(work.size, CHECKED),
        "ties": ties,
        "ms": median * 1e3,
        "rate": work.size / median,
        "floor_ms": floor * 1e3,
        "peak": peak_above(work, next(draws)),
        "shares": shares(work, [next(draws) for _ in range(repeats)]),
        "alone": left_to_samples(work, next(draws)),
        "draw_us": drawing(work, [next(draws) for _ in range(5)]) * 1e6,
    }


def check(work: Work) -> int:
    """Compare a batch with the baseline; how many samples differ only because rounding decided between gradients.

    Raises
    ------
    AssertionError
        If another sample is not the same.
    """
    batch, ties = work.make(0), 0
    count = min(work.size, CHECKED)
    for i in range(count):
        sample, recipe = work.samples[i % len(work.samples)], batch.recipes[i]
        chosen = [
            None if a.donor is None else donor_sets.find(TASKS[a.task], a.donor, work.donors) for a in recipe.anomalies
        ]
        picture, label = baseline.make(sample, recipe, chosen)
        spread = float(np.ptp(sample.image))
        apart = max(
            float(np.abs(batch.images[i].cpu().numpy() - picture).max()) / spread,
            float(np.abs(batch.labels[i].cpu().numpy() - label).max()),
        )
        if apart > TOLERANCE and chosen[0] is None:
            raise AssertionError(f"{work.case.name}, sample {i}: off by {apart:.2g}, from {recipe.to_json().decode()}")
        ties += apart > TOLERANCE
    if ties > max(1, count // 10):
        raise AssertionError(f"{work.case.name}: {ties} of {count} samples differ by more than {TOLERANCE}")
    return ties


def peak_above(work: Work, draw: int) -> float | None:
    """MiB that a batch takes at most beyond its inputs; on a CPU, whose memory torch does not count, None."""
    if work.device.type != "cuda":
        return None
    work.wait()
    before = torch.cuda.memory_allocated(work.device)
    torch.cuda.reset_peak_memory_stats(work.device)
    work.make(draw)
    return (torch.cuda.max_memory_allocated(work.device) - before) / 2**20


def shares(work: Work, draws: Sequence[int]) -> dict[str, float]:
    """The share of each part of a batch, the device waited for before and after each; the rest is the rest."""
    spent = {name: 0.0 for _, _, name in PARTS}
    with ExitStack() as stack:
        for owner, attribute, name in PARTS:
            stack.enter_context(timed(owner, attribute, name, spent, work.wait))
        start = time.perf_counter()
        for draw in draws:
            work.make(draw)
            work.wait()
        total = time.perf_counter() - start
    found = {name: seconds / total for name, seconds in spent.items()}
    return {**found, "rest": max(0.0, 1 - sum(found.values()))}


@contextmanager
def timed(owner: Any, attribute: str, name: str, spent: dict[str, float], wait: Callable[[], None]) -> Iterator[None]:
    """Add up the time of a function while this is entered."""
    function = getattr(owner, attribute)

    def call(*args: Any, **kwargs: Any) -> Any:
        wait()
        start = time.perf_counter()
        out = function(*args, **kwargs)
        wait()
        spent[name] += time.perf_counter() - start
        return out

    with mock.patch.object(owner, attribute, call):
        yield


def demand(work: Work) -> dict[str, Any]:
    """What a batch asks of its device."""
    print(f"{work.case.name}: counting a batch of {work.size}", file=sys.stderr)
    sets = [work.pool.set_for(TASKS[name](), work.donors) for name in work.donors]
    wanted = np.array([(number, i) for number in sets for i in range(cases.DONORS)], dtype=np.int64)
    work.pool.place(wanted, work.images.shape[1:])
    with counting.Counting() as counter:
        work.make(1)
    return {"case": work.case.name, "size": work.size, **vars(counter.demand)}


def drawing(work: Work, draws: Sequence[int]) -> float:
    """Seconds per sample of the compiled call that draws batches of `DRAWN`, the keys at hand; a median."""
    found = []
    large = replace(work, size=DRAWN)
    # only the shape of images matters for drawing
    vars(large).update(images=work.images[:1].expand(DRAWN, *work.images.shape[1:]), foregrounds=None)
    for draw in draws:
        inputs = large.inputs(draw)
        sets = [work.pool.set_for(task, own) for task, own in zip(inputs.tasks, inputs.donors, strict=True)]
        streams, table = states_of(inputs.generators), task_table(inputs.tasks, sets)
        sketch, chosen = Sketcher.of(inputs, streams, table, work.pool), np.arange(DRAWN)
        start = time.perf_counter()
        sketch(chosen)
        found.append((time.perf_counter() - start) / DRAWN)
    return statistics.median(found)


def left_to_samples(work: Work, draw: int) -> float:
    """The share of samples that had to be made by `synthesise`."""
    from synthanom.batched import making

    made = []

    def counted(*args: Any, **kwargs: Any) -> Any:
        made.append(1)
        return original(*args, **kwargs)

    original = making.synthesise
    with mock.patch.object(making, "synthesise", counted):
        work.make(draw)
    return len(made) / work.size


def network_step(name: str, device: torch.device) -> dict[str, Any]:
    """Milliseconds of a training step of the paper's network at its batch size; on the CPU with one sample."""
    case = cases.case_named(name)
    size, settings = NETWORKS[name]
    size = size if device.type == "cuda" else 1
    channels = input_channels(case.channels, len(case.shape), positions=True)
    bare = build_network("unet", settings, dims=len(case.shape), in_channels=channels)
    network = PositionedNetwork(bare, case.shape).to(device)
    optimiser = torch.optim.AdamW(network.parameters(), lr=1e-3)
    images = torch.randn((size, case.channels, *case.shape), device=device)
    labels = torch.rand((size, *case.shape), device=device)

    def step() -> None:
        optimiser.zero_grad()
        loss = (network(images)[:, 0] - labels).square().mean()
        loss.backward()
        optimiser.step()

    return {"case": name, "size": size, "ms": statistics.median(times(step, device, 3)) * 1e3}


def page(
    limits: dict[str, Any],
    rows: Sequence[dict[str, Any]],
    counted: Sequence[dict[str, Any]],
    steps: Sequence[dict[str, Any]],
) -> str:
    """All tables as Markdown."""
    parts = [HEAD.format(copy_gb=limits["copy"] / 1e9, torch=torch.__version__, **limits)]
    parts += ["### Batches\n", pages.table(*_batches(rows)), "### Share of each part\n", pages.table(*_shares(rows))]
    parts += [ESTIMATE.format(**_assumed()), pages.table(*_demands(counted))]
    if steps:
        lines = [[s["case"], f"{s['size']}", f"{s['ms']:.3g}"] for s in steps]
        parts += [NETWORK, pages.table(["case", "batch", "ms per step"], lines)]
    return "\n".join(parts)


def _batches(rows: Sequence[dict[str, Any]]) -> tuple[list[str], list[list[str]]]:
    head = ["case", "batch", "ms", "samples/s", "target", "x the floor", "peak, MiB", "compared", "ties", "by samples"]
    head += ["draw, us a sample"]
    lines = [
        [
            row["case"],
            str(row["size"]),
            f"{row['ms']:.3g}",
            f"{row['rate']:.3g}",
            f"{TARGETS.get(row['case'], 0):,}",
            f"{row['ms'] / row['floor_ms']:.0f}",
            "-" if row["peak"] is None else f"{row['peak']:.0f}",
            str(row["checked"]),
            str(row["ties"]),
            f"{100 * row['alone']:.1f} %",
            f"{row['draw_us']:.1f}",
        ]
        for row in rows
    ]
    return head, lines


def _shares(rows: Sequence[dict[str, Any]]) -> tuple[list[str], list[list[str]]]:
    names = list(rows[0]["shares"])
    lines = [[r["case"], str(r["size"]), *(f"{100 * r['shares'][n]:.0f} %" for n in names)] for r in rows]
    return ["case", "batch", *names], lines


def _demands(counted: Sequence[dict[str, Any]]) -> tuple[list[str], list[list[str]]]:
    head = ["case", "batch", "calls", "looks", "GB", "GFLOP", "calls, ms", "bytes, ms", "products, ms", "samples/s"]
    head += ["target"]
    lines = []
    for row in counted:
        asked = counting.Demand(**{name: row[name] for name in ("calls", "bytes", "flops", "looks")})
        parts = asked.seconds(**H200)
        slowest = max(parts["calls"], parts["bytes"] + parts["flops"])
        lines.append(
            [
                row["case"],
                str(row["size"]),
                str(asked.calls),
                str(asked.looks),
                f"{asked.bytes / 1e9:.3g}",
                f"{asked.flops / 1e9:.3g}",
                *(f"{parts[name] * 1e3:.3g}" for name in ("calls", "bytes", "flops")),
                f"{row['size'] / slowest:,.0f}",
                f"{TARGETS.get(row['case'], 0):,}",
            ]
        )
    return head, lines


def _assumed() -> dict[str, float]:
    return {
        "call_us": H200["per_call"] * 1e6,
        "tb": H200["bandwidth"] / 1e12,
        "tflops": H200["rate"] / 1e12,
    }


if __name__ == "__main__":
    main()
