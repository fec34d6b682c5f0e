"""A build of a thousand subjects: python benchmarks/scale.py [--subjects N] [--codec NAME]... [--quick] [--write]

For every codec a whole build by two workers: its time beside the least that it could take (all anomalies made and
compressed, or all scans read, on the same cores), its memory, its size beside the same arrays stored densely, and how
fast training reads it. Everything in one run, in a temporary folder.
"""

import argparse
import json
import multiprocessing
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import cohort
import h5py
import machine
import numpy as np
import pages
from synthanom_builders.plan import read_plan
from synthanom_builders.units import make_row, prepare_case

from synthanom.fold_donors import fold_donors
from synthanom.manifest import read_manifest
from synthanom.preprocess import Pipeline
from synthanom.sample import Sample
from synthanom.shards import DataSet, write_anomalies, write_healthy
from synthanom.shards.codecs import CODECS
from synthanom.volumes.reading import AS_STORED

PAGE = Path(__file__).parents[1] / "docs" / "speed.md"
WORKERS = 2
TARGET, SIZE_TARGET, READ_TARGET = 1.2, 0.12, 1.0
SAMPLED_CASES, SAMPLED_ROWS = 24, 24  # per process: of cases that are read, and of rows of every task
READ_ROWS = 60  # per task
WATCH_SECONDS = 0.5
BUILD = [sys.executable, "-c", "from synthanom_builders.cli import main; main()"]
HEAD = """Written by `make bench-scale` on {date}, {cpu}. {subjects} subjects at {shape}, five tasks,
{variants} variants, {workers} workers: {rows} anomalies. *Least*: all anomalies made, cut out and compressed, or all
scans read and prepared, whichever takes longer, on the same cores in the same run (sampled). Sizes are shares of the
same arrays stored densely (float32 images and labels, packed regions): *plain* before compression on both sides,
*packed* with the same codec on both sides. *Read* is what training reads at random from a warm page cache in one
process, as dense float32 image and label. Targets: at most {time:g} x least, plain at most {size:g}, {read:g} GB/s.
"""
COLUMNS = ("codec", "build, s", "look + healthy + anomalies", "least, s", "x least", "memory, MiB", "stored, GB",
           "plain", "packed", "read, GB/s")  # fmt: skip


@dataclass(frozen=True)
class Row:
    """What one build came to; seconds, bytes, GB/s."""

    codec: str
    subjects: int
    rows: int
    seconds: float
    surveyed: float
    healthy: float
    anomalies: float
    made_and_packed: float
    read_and_prepared: float
    memory: int
    stored: int
    plain_share: float
    packed_share: float
    reading: float

    @property
    def least(self) -> float:
        return max(self.made_and_packed, self.read_and_prepared)


def main() -> None:
    """Measure, print, and with --write keep the table in docs/speed.md."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--subjects", type=int, default=1000)
    parser.add_argument("--variants", type=int, default=10)
    parser.add_argument("--codec", action="append", choices=list(CODECS), help="repeatable; all by default")
    parser.add_argument("--quick", action="store_true", help="tiny scans of few subjects: is everything in order?")
    parser.add_argument("--write", action="store_true", help=f"write {PAGE.parent.name}/{PAGE.name}")
    parser.add_argument("--json", action="store_true", help="print the rows as JSON")
    arguments = parser.parse_args()
    shape = (20, 28, 20) if arguments.quick else cohort.SHAPE
    with tempfile.TemporaryDirectory() as folder:
        raw = cohort.write_cohort(Path(folder) / "raw", arguments.subjects, shape)
        rows = [measure(raw, Path(folder), codec, arguments.variants) for codec in arguments.codec or CODECS]
    text = page(rows, shape, arguments.variants)
    sys.stdout.write(json.dumps([asdict(row) for row in rows]) + "\n" if arguments.json else text)
    if arguments.write:
        pages.put(PAGE, "scale", text)


def measure(raw: Path, folder: Path, codec: str, variants: int) -> Row:
    """Build once with a codec, measure what it is compared with, and remove it again."""
    out = folder / f"data-{codec}"
    stages, memory = build(raw, out, codec, variants)
    manifest = read_manifest(out)
    counts = manifest.counts
    parts = sampled(raw, out)
    made = (counts["anomalies"] * parts["row"] + counts["healthy"] * parts["healthy"]) / WORKERS
    plain, packed = shares(out, codec)
    row = Row(
        codec=codec,
        subjects=counts["healthy"],
        rows=counts["anomalies"],
        seconds=sum(stages),
        surveyed=stages[0],
        healthy=stages[1],
        anomalies=stages[2],
        made_and_packed=made,
        read_and_prepared=counts["healthy"] * parts["read"] / WORKERS,
        memory=memory,
        stored=sum(file.bytes for file in manifest.files),
        plain_share=plain,
        packed_share=packed,
        reading=reading_rate(out),
    )
    shutil.rmtree(out)
    return row


def build(raw: Path, out: Path, codec: str, variants: int) -> tuple[tuple[float, float, float], int]:
    """Seconds of the stages (looking at the images, healthy, anomalies), and the most memory of all processes."""
    command = [*BUILD, "folder", raw, "--out", out, "--variants", variants, "--workers", WORKERS, "--codec", codec]
    start = time.perf_counter()
    process = subprocess.Popen([*map(str, command)], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    peak = Watch(process.pid)
    peak.start()
    begun: dict[str, float] = {}
    assert process.stderr is not None
    said = []
    for line in process.stderr:
        said.append(line)
        begun.setdefault(line.split(":")[0], time.perf_counter())
    if process.wait() != 0:
        raise RuntimeError("".join(said))
    end = time.perf_counter()
    peak.stop()
    healthy, anomalies = begun["healthy images"], begun["anomalies"]
    return (healthy - start, anomalies - healthy, end - anomalies), peak.most


class Watch(threading.Thread):
    """The most memory that a process and its descendants take together (shared pages counted once)."""

    def __init__(self, process: int) -> None:
        super().__init__(daemon=True)
        self.most = 0
        self._process, self._done = process, threading.Event()

    def run(self) -> None:
        while not self._done.wait(WATCH_SECONDS):
            self.most = max(self.most, sum(map(_proportional, _family(self._process))))

    def stop(self) -> None:
        self._done.set()
        self.join()


def _family(process: int) -> list[int]:
    """The process and its descendants; none where there is no /proc."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
        except OSError:  # it ended meanwhile
            continue
    found = [process]
    for member in found:  # grows while it is walked
        found += [child for child, parent in parents.items() if parent == member]
    return found


def _proportional(process: int) -> int:
    """Bytes of its own pages and its share of those it shares."""
    try:
        text = Path(f"/proc/{process}/smaps_rollup").read_text()
    except OSError:
        return 0
    return next(int(line.split()[1]) * 1024 for line in text.splitlines() if line.startswith("Pss:"))


def sampled(raw: Path, out: Path) -> dict[str, float]:
    """Seconds of a row made, cut out and compressed, of a healthy row compressed, of a scan read and prepared."""
    with ProcessPoolExecutor(WORKERS, mp_context=multiprocessing.get_context("spawn")) as pool:
        found = list(pool.map(_sampled, [(raw, out, worker) for worker in range(WORKERS)]))
    return {name: float(np.mean([each[name] for each in found])) for name in found[0]}


def _sampled(job: tuple[Path, Path, int]) -> dict[str, float]:
    raw, out, worker = job
    plan = read_plan(out)
    pipeline = Pipeline.from_dict(plan.resolved["preprocessing"])
    cases = plan.cases[worker::WORKERS][:SAMPLED_CASES]
    _rows_of(out, worker)  # once before, so that everything is compiled and read
    start = time.perf_counter()
    samples = [prepare_case(raw, case, pipeline, AS_STORED)[0] for case in cases]
    read = (time.perf_counter() - start) / len(cases)
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        offsets = [(0,) * len(plan.shape)] * len(samples)
        write_healthy(Path(folder) / "healthy/00000.h5", samples, offsets, codec=plan.codec)
        healthy = (time.perf_counter() - start) / len(samples)
    return {"read": read, "healthy": healthy, "row": _rows_of(out, worker)}


def _rows_of(out: Path, worker: int) -> float:
    """Seconds for a row, the mean over all tasks, healthy image and donors being in memory."""
    plan, seconds, count = read_plan(out), 0.0, 0
    with DataSet.open(out) as data, tempfile.TemporaryDirectory() as folder:
        sample = data.healthy(worker)
        donors = fold_donors(data, data.folds[sample.subject], plan.resolved["donors"], None)
        near = {name: [donors[name][i] for i in range(min(8, len(donors[name])))] for name in donors}
        for task in plan.tasks:
            variants = range(1000, 1000 + SAMPLED_ROWS)  # others than the build's
            start = time.perf_counter()
            rows = [make_row(plan, sample, task, (0, variant), near) for variant in variants]
            path = Path(folder) / f"anomalies/{task}/00000.h5"
            write_anomalies(path, rows, shape=plan.shape, channels=plan.channels, codec=plan.codec)
            seconds += time.perf_counter() - start
            count += len(rows)
    return seconds / count


def shares(out: Path, codec: str) -> tuple[float, float]:
    """Bytes stored, as shares of the same arrays stored densely: before compression, and with the codec on both."""
    manifest = read_manifest(out)
    voxels = int(np.prod(manifest.shape))
    one = voxels * (4 * manifest.channels + 4 + 1 / 8)
    healthy = voxels * (4 * manifest.channels + 1 / 8)
    dense = manifest.counts["anomalies"] * one + manifest.counts["healthy"] * healthy
    plain = packed = 0
    for file in manifest.files:
        if file.path.endswith(".h5"):
            packed += file.bytes
            with h5py.File(out / file.path) as opened:
                plain += sum(column.size * column.dtype.itemsize for column in opened.values())
    return plain / dense, packed / (manifest.counts["anomalies"] * dense_row(out, codec) + stored_healthy(out))


def stored_healthy(out: Path) -> int:
    return sum(file.bytes for file in read_manifest(out).healthy_files)


def dense_row(out: Path, codec: str) -> float:
    """Bytes that an anomalous picture with its label takes, stored whole and compressed."""
    with DataSet.open(out) as data, tempfile.TemporaryDirectory() as folder:
        total, count = 0, 0
        for task in data.tasks:
            chosen = np.linspace(0, data.rows(task) - 1, 4).astype(int)
            for row in map(int, chosen):
                picture = data.anomaly(task, row)
                whole = [
                    Sample(image=image, foreground=picture.region, spacing=None, affine=None, id="x", subject="x")
                    for image in (picture.image, picture.label[None])
                ]
                for k, sample in enumerate(whole):
                    path = Path(folder) / f"{k}/healthy/00000.h5"
                    total += write_healthy(path, [sample], [(0,) * len(data.shape)], codec=codec).bytes
                count += 1
    return total / count


def reading_rate(out: Path) -> float:
    """GB/s of dense float32 image and label, rows at random, after everything was read once."""
    for path in out.rglob("*.h5"):
        path.read_bytes()
    rng = np.random.default_rng(0)
    with DataSet.open(out) as data:
        picked = [(task, int(row)) for task in data.tasks for row in rng.integers(0, data.rows(task), READ_ROWS)]
        for task, row in picked[:5]:
            data.anomaly(task, row)
        start = time.perf_counter()
        for task, row in rng.permutation(np.array(picked, dtype=object)):
            data.anomaly(task, row)
        seconds = time.perf_counter() - start
        size = 4 * (data.channels + 1) * int(np.prod(data.shape))
    return len(picked) * size / seconds / 1e9


def page(rows: list[Row], shape: tuple[int, ...], variants: int) -> str:
    """The table of docs/speed.md."""
    first = rows[0]
    head = HEAD.format(
        date=time.strftime("%Y-%m-%d"),
        cpu=machine.cpu_model(),
        subjects=first.subjects,
        shape=" x ".join(map(str, shape)),
        variants=variants,
        workers=WORKERS,
        rows=first.rows,
        time=TARGET,
        size=SIZE_TARGET,
        read=READ_TARGET,
    )
    lines = [f"| {' | '.join(COLUMNS)} |", "|" + "---|" * len(COLUMNS)]
    for row in rows:
        stages = " + ".join(f"{seconds:.0f}" for seconds in (row.surveyed, row.healthy, row.anomalies))
        least = f"{row.made_and_packed:.0f} (read {row.read_and_prepared:.0f})"
        lines.append(
            f"| {row.codec} | {row.seconds:.0f} | {stages} | {least} | {row.seconds / row.least:.2f} | "
            f"{row.memory >> 20} | {row.stored / 1e9:.2f} | {row.plain_share:.3f} | {row.packed_share:.3f} | "
            f"{row.reading:.2f} |"
        )
    return head + "\n" + "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
