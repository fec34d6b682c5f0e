"""A build of a thousand subjects: python benchmarks/scale.py [--subjects N] [--codec NAME]... [--quick] [--write]

For every codec a whole build by two workers: its time beside the least that it could take (all anomalies made and
compressed, or all scans read, on the same cores) and beside what --dry-run foretells, its memory beside that of a build
of a tenth of the subjects, its size beside the same arrays stored densely, and how fast training reads it; then one of
pictures, for its size. Everything in one run, in a temporary folder.
"""

import argparse
import json
import multiprocessing
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import cohort
import machine
import numpy as np
import pages
from stored_sizes import shares
from synthanom_builders.estimate import estimate
from synthanom_builders.plan import read_plan
from synthanom_builders.units import make_row, prepare_case
from watching import Watch

from synthanom.fold_donors import fold_donors
from synthanom.manifest import read_manifest
from synthanom.preprocess import Pipeline
from synthanom.shards import DataSet, write_anomalies, write_healthy
from synthanom.shards.codecs import CODECS, DEFAULT
from synthanom.training.batches import StoredPictures, make_loader
from synthanom.training.rows import Pick
from synthanom.volumes.reading import AS_STORED

PAGE = Path(__file__).parents[1] / "docs" / "speed.md"
WORKERS = 2
TARGET, SIZE_TARGET, PICTURE_TARGET, READ_TARGET = 1.2, 0.12, 0.2, 1.0
FEWER = 10  # the build whose memory is compared has so many times fewer subjects
SAMPLED_CASES, SAMPLED_ROWS = 24, 24  # per process: of cases that are read, and of rows of every task
READ_ROWS, READ_BATCH = 120, 8  # rows per task
BUILD = [sys.executable, "-c", "from synthanom_builders.cli import main; main()"]
HEAD = """Written by `make bench-scale` on {date}, {cpu}. {subjects} subjects at {shape}, five tasks,
{variants} variants, {workers} workers: {rows} anomalies. *Least*: all anomalies made, cut out and compressed, or all
scans read and prepared, whichever takes longer, on the same cores in the same run (sampled). *Foretold*: what
`--dry-run` says of the same build. *Memory*: of all processes together, beside a build of {fewer} subjects. Sizes are
shares of the same arrays stored densely (float32 images and labels, packed regions): *plain* before compression on both
sides, *packed* with the same codec on both sides. *Read* is what training's own loader reads at random from a warm page
cache with {workers} worker processes, as dense float32 image and label. Targets: at most {time:g} x least, foretold
within 30 %, plain at most {size:g}, {read:g} GB/s; of pictures (the last row, {pictures} at {side}) plain at most
{flat:g}.
"""
COLUMNS = ("codec", "build, s", "look + healthy + anomalies", "least, s", "x least", "foretold, s, GB", "memory, MiB",
           "stored, GB", "plain", "packed", "read, GB/s")  # fmt: skip


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
    foretold: float
    foretold_bytes: int
    memory: int
    memory_of_few: int
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
    parser.add_argument("--pictures", type=int, default=300)
    parser.add_argument("--codec", action="append", choices=list(CODECS), help="repeatable; all by default")
    parser.add_argument("--quick", action="store_true", help="tiny scans of few subjects: is everything in order?")
    parser.add_argument("--write", action="store_true", help=f"write {PAGE.parent.name}/{PAGE.name}")
    parser.add_argument("--json", action="store_true", help="print the rows as JSON")
    arguments = parser.parse_args()
    shape, side = ((20, 28, 20), 32) if arguments.quick else (cohort.SHAPE, cohort.SIDE)
    with tempfile.TemporaryDirectory() as folder:
        raw = cohort.write_cohort(Path(folder) / "raw", arguments.subjects, shape)
        few = cohort.write_cohort(Path(folder) / "few", max(10, arguments.subjects // FEWER), shape)
        warm_up(cohort.write_cohort(Path(folder) / "first", 10, shape), Path(folder) / "data-first")
        rows = [measure((raw, few), Path(folder), codec, arguments.variants) for codec in arguments.codec or CODECS]
        flat = cohort.write_pictures(Path(folder) / "pictures", arguments.pictures, side)
        rows.append(measure((flat, None), Path(folder), DEFAULT, arguments.variants))
    text = page(rows, (shape, side), arguments.variants)
    sys.stdout.write(json.dumps([asdict(row) for row in rows]) + "\n" if arguments.json else text)
    if arguments.write:
        pages.put(PAGE, "scale", text)


def warm_up(raw: Path, out: Path) -> None:
    """Build a little first: compiling the kernels takes seconds and hundreds of MiB, once on a machine."""
    build(raw, out, DEFAULT, 1)
    shutil.rmtree(out)


def measure(given: tuple[Path, Path | None], folder: Path, codec: str, variants: int) -> Row:
    """Build once with a codec, measure what it is compared with, and remove it again."""
    raw, few = given
    out = folder / f"data-{codec}"
    memory_of_few = 0
    if few is not None:
        memory_of_few = build(few, out, codec, variants)[1]
        shutil.rmtree(out)
    stages, memory = build(raw, out, codec, variants)
    counts = read_manifest(out).counts
    parts = sampled(raw, out)
    made = (counts["anomalies"] * parts["row"] + counts["healthy"] * parts["healthy"]) / WORKERS
    plain, packed = shares(out, codec)
    foretold = estimate(raw, read_plan(out), WORKERS)
    assert foretold is not None
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
        foretold=foretold.seconds,
        foretold_bytes=foretold.bytes,
        memory=memory,
        memory_of_few=memory_of_few,
        stored=sum(file.bytes for file in read_manifest(out).files),
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


def reading_rate(out: Path) -> float:
    """GB/s of dense float32 image and label, rows at random, after everything was read once."""
    for path in out.rglob("*.h5"):
        path.read_bytes()
    rng = np.random.default_rng(0)
    with DataSet.open(out) as data:
        made_from = {task: data.made_from(task) for task in data.tasks}  # training has asked for these too
        picked = [
            Pick(task=task, row=int(row), healthy=int(made_from[task][row]))
            for task in data.tasks
            for row in rng.integers(0, data.rows(task), READ_ROWS)
        ]
        picks = [picked[i] for i in rng.permutation(len(picked))]
        loader = make_loader(StoredPictures(data=data), picks, batch_size=READ_BATCH, workers=WORKERS)
        batches = iter(loader)
        for _ in range(2 * WORKERS):  # the workers have started
            next(batches)
        start = time.perf_counter()
        size = sum(batch.images.nbytes + batch.labels.nbytes for batch in batches)
        return size / (time.perf_counter() - start) / 1e9


def page(rows: list[Row], shapes: tuple[tuple[int, ...], int], variants: int) -> str:
    """The table of docs/speed.md."""
    first, last = rows[0], rows[-1]
    head = HEAD.format(
        date=time.strftime("%Y-%m-%d"),
        cpu=machine.cpu_model(),
        subjects=first.subjects,
        fewer=max(10, first.subjects // FEWER),
        shape=" x ".join(map(str, shapes[0])),
        pictures=last.subjects,
        side=f"{shapes[1]} x {shapes[1]}",
        variants=variants,
        workers=WORKERS,
        rows=first.rows,
        time=TARGET,
        size=SIZE_TARGET,
        flat=PICTURE_TARGET,
        read=READ_TARGET,
    )
    lines = [f"| {' | '.join(COLUMNS)} |", "|" + "---|" * len(COLUMNS)]
    return head + "\n" + "\n".join([*lines, *map(line, rows)]) + "\n"


def line(row: Row) -> str:
    """One row of the table; the build without a smaller one beside it is that of pictures."""
    flat = not row.memory_of_few
    stages = " + ".join(f"{seconds:.0f}" for seconds in (row.surveyed, row.healthy, row.anomalies))
    least = f"{row.made_and_packed:.0f} (read {row.read_and_prepared:.0f})"
    memory = f"{row.memory >> 20}" + ("" if flat else f" ({row.memory_of_few >> 20})")
    cells = (
        f"{row.codec}, pictures" if flat else row.codec,
        f"{row.seconds:.0f}",
        stages,
        least,
        f"{row.seconds / row.least:.2f}",
        f"{row.foretold:.0f}, {row.foretold_bytes / 1e9:.2f}",
        memory,
        f"{row.stored / 1e9:.2f}",
        f"{row.plain_share:.3f}",
        f"{row.packed_share:.3f}",
        f"{row.reading:.2f}",
    )
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
