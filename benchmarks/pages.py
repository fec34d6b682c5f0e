"""The page that `make bench` prints: docs/speed.md."""

import platform
from collections.abc import Iterable, Sequence
from importlib.metadata import version
from pathlib import Path

import cases

LIBRARIES = ("numpy", "scipy", "scikit-image", "numba")
HEAD = """Written by `make bench`; run it again rather than trust these figures on another machine.

{libraries}.

Measured on {date}, {cpu}.

One CPU thread, BLAS included, warm caches. A sample is everything: drawing, one to four anomalies, the label. Both
implementations take turns, pass by pass over all samples; each sample's time is the fastest pass, mean and median are
over the samples. The baseline (`benchmarks/baseline.py`) is a straightforward implementation with scipy and
scikit-image, in boxes but for the label. It makes the same samples from recipes, so it need not draw; all its pictures
and labels agreed with ours within {tolerance} of the range, {ties} of {samples} only once both were given the same
patch (rounding had decided between opposite gradients of equal size). The floor reads a sample once and writes picture
and label once; it counts no arithmetic.

In this run: copying {copy:.1f} GB/s (read and written), float32 matrix products {sgemm:.0f} GFLOP/s.
"""
START = """A new process, imports included, makes its first samples, one of every task at 64 x 64, in {warm:.2f} s, and
in {cold:.1f} s where the kernels must be compiled first.
"""
NOTE = """
"Predecessor" is the method's released program as published with its own measurements: another run on another day and
with other draws, for orientation only. Memory is the most that a call took beyond the sample and the result.
"""


def page(limits: dict[str, float | str], rows: Sequence[dict], tolerance: float = 1e-3) -> str:
    """All tables as Markdown."""
    libraries = ", ".join([f"Python {platform.python_version()}", *(f"{name} {version(name)}" for name in LIBRARIES)])
    counts = {"ties": sum(row["ties"] for row in rows), "samples": sum(row["samples"] for row in rows)}
    parts = [HEAD.format(libraries=libraries, tolerance=f"{tolerance:g}", **counts, **limits)]
    if "cold" in limits:
        parts.append(START.format(**limits))
    parts += ["## Cases\n", table(*_cases(rows))]
    parts += ["## Milliseconds per sample\n", table(*_times(rows)), NOTE]
    parts += ["## Share of each step\n", table(*_steps(rows))]
    return "\n".join(parts)


def put(path: Path, name: str, text: str) -> None:
    """Replace one measured part of a page, between its two marks, and nothing else.

    Raises
    ------
    ValueError
        If the page has no such part.
    """
    begin, end = f"<!-- measured: {name} -->\n", f"<!-- end: {name} -->\n"
    before, found, rest = path.read_text().partition(begin)
    _, closed, after = rest.partition(end)
    if not (found and closed):
        raise ValueError(f"{path} must hold the marks {begin.strip()!r} and {end.strip()!r}, got a page without them")
    path.write_text(f"{before}{begin}\n{text.strip()}\n\n{end}{after}")


def table(head: Iterable[str], lines: Iterable[Sequence[str]]) -> str:
    """A Markdown table, all columns but the first two to the right."""
    names = list(head)
    rule = ["---" if i < 2 else "---:" for i in range(len(names))]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in (names, rule, *lines))


def _cases(rows: Sequence[dict]) -> tuple[list[str], list[list[str]]]:
    head = ["case", "shape", "channels", "samples x passes", "anomalies", "voxels of their boxes", "floor, ms"]
    lines = []
    for name in dict.fromkeys(row["case"] for row in rows):
        case, own = cases.case_named(name), [row for row in rows if row["case"] == name]
        lines.append(
            [
                name,
                " x ".join(map(str, case.shape)),
                str(case.channels),
                f"{own[0]['samples']} x {own[0]['passes']}",
                f"{_mean(own, 'anomalies'):.2f}",
                f"{_mean(own, 'voxels'):.0f}",
                f"{own[0]['floor']:.3f}",
            ]
        )
    return head, lines


def _mean(rows: Sequence[dict], name: str) -> float:
    return sum(row[name] for row in rows) / len(rows)


def _times(rows: Sequence[dict]) -> tuple[list[str], list[list[str]]]:
    head = ["case", "task", "mean", "median", "baseline, mean", "median", "baseline / ours", "ours / floor"]
    head += ["MiB", "baseline, MiB", "predecessor, published", "/ ours", "target"]
    return head, [_time_line(row) for row in rows]


def _time_line(row: dict) -> list[str]:
    ours, other, memory = row["ours"], row["baseline"], row["memory"]
    published = cases.PREDECESSOR.get(row["case"], {}).get(row["task"])
    target = cases.TARGETS.get(row["case"])
    return [
        row["case"],
        row["task"],
        f"{ours['mean']:.3g}",
        f"{ours['median']:.3g}",
        f"{other['mean']:.3g}",
        f"{other['median']:.3g}",
        f"{other['mean'] / ours['mean']:.1f}",
        f"{ours['mean'] / row['floor']:.1f}",
        *(f"{memory[v]:.1f}" for v in ("ours", "baseline")),
        "-" if published is None else f"{published:g}",
        "-" if published is None else f"{published / ours['mean']:.1f}",
        "-" if target is None else f"{target:g}",
    ]


def _steps(rows: Sequence[dict]) -> tuple[list[str], list[list[str]]]:
    total = {step: 0.0 for row in rows for step in row["steps"]}
    for row in rows:
        for step, share in row["steps"].items():
            total[step] += share
    names = sorted(total, key=lambda step: -total[step])
    lines = [
        [row["case"], row["task"], *(f"{100 * row['steps'][s]:.0f} %" if s in row["steps"] else "" for s in names)]
        for row in rows
    ]
    return ["case", "task", *names], lines
