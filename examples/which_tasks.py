"""Which anomalies teach most? python examples/which_tasks.py --out taught --raw RAW

The same small net learns from each task alone and from mixtures, for the same number of steps on the same healthy
images and with the same seeds, and is judged on disease: pneumonia on chest radiographs (RAW is the ZhangLab set, as
unpacked) and simulated lesions in slices of virtual brains, which need no download. Nothing is chosen on the way: the
last weights count, and how a map becomes one number is fixed. It takes an hour or two; interrupted, the same command
goes on, and a net that was taught is not taught again. Tables: OUT/which-tasks.md.
"""

import argparse
import json
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from functools import cached_property
from pathlib import Path

import numpy as np
from chest_xray import PAGE, put, say
from teach_net import Lesson, lessons, scores_of, taught
from teach_sets import PARTS, Part, Teaching
from xray_scores import TestImages, figure
from xray_tables import cell, table

from synthanom.manifest import replaced_file
from synthanom.nearest import meant
from synthanom.tasks import TASKS

METRICS = ("auroc", "ap")


class Nets:
    """The nets of one part with one budget, each a file with its scores."""

    def __init__(self, name: str, given: argparse.Namespace) -> None:
        self.name, self.quick = name, given.quick
        self.part: Part = PARTS[name]
        self.steps = given.budget or (self.part.quick_steps if given.quick else self.part.steps)
        self._raw, self._work = given.raw, given.out / name
        self._folder = self._work / f"{'quick-' if given.quick else ''}{self.steps}-steps"

    @cached_property
    def teaching(self) -> Teaching:
        """Read only where a net has to be taught."""
        return self.part.make(self._raw, self._work, self.quick)

    def path(self, lesson: str, seed: int) -> Path:
        """Where the scores of one net are."""
        return self._folder / lesson / f"seed-{seed}.json"

    def teach(self, name: str, seed: int) -> None:
        """Teach and judge a net, unless that is done."""
        path, lesson = self.path(name, seed), Lesson(tasks=lessons()[name], seed=seed, steps=self.steps)
        if path.exists() and tuple(json.loads(path.read_text(encoding="utf-8"))["tasks"]) == lesson.tasks:
            return
        teaching = self.teaching
        start = time.process_time()
        net = taught(lesson, teaching, self.part)
        seconds = time.process_time() - start
        test = teaching.test
        found = {
            **asdict(lesson),
            "weights": sum(p.numel() for p in net.parameters()),
            "seconds": seconds,
            "healthy": len(teaching.healthy),
            "scores": scores_of(net, teaching, self.part).tolist(),
            "anomalous": test.anomalous.tolist(),
            "patients": list(test.patients),
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        with replaced_file(path) as file:
            file.write(json.dumps(found).encode())
        say(f"{self.name}: {name}, seed {seed}: {seconds:.0f} s of the processor")

    def found(self, lesson: str) -> list[dict]:
        """What is known of a lesson: its nets of this budget, seed by seed, those of other tasks left out."""
        files = sorted(self._folder.glob(f"{lesson}/seed-*.json"), key=lambda path: int(path.stem.split("-")[1]))
        read = [json.loads(path.read_text(encoding="utf-8")) for path in files]
        return [one for one in read if tuple(one["tasks"]) == lessons()[lesson]]


def main() -> None:
    """Teach what is not taught yet, write the tables of all that is."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("taught"))
    parser.add_argument("--raw", type=Path, help="radiographs: folder with train/NORMAL and test")
    parser.add_argument("--part", choices=sorted(PARTS), help="only this one")
    parser.add_argument("--tasks", nargs="+", default=list(lessons()), help=f"of {', '.join(lessons())}; all of them")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--budget", type=int, help="steps of every net, instead of the part's own number")
    parser.add_argument("--quick", action="store_true", help="tiny pictures, two steps: is everything in order?")
    parser.add_argument("--write", action="store_true", help="also write the tables into docs/results.md")
    given = parser.parse_args()
    for name in given.tasks:
        if name not in lessons():
            sys.exit(f"error: --tasks must be of {', '.join(lessons())}, got {name}{meant(name, lessons())}")
    if given.seeds < 1 or (given.budget is not None and given.budget < 1):
        sys.exit(f"error: --seeds and --budget must be at least 1, got {given.seeds} and {given.budget}")
    parts = [Nets(name, given) for name in PARTS if given.part in (None, name)]
    for nets in parts:
        for seed in range(given.seeds):  # whole tables with few seeds before many seeds of few tasks
            for name in given.tasks:
                nets.teach(name, seed)
    pages = {nets.name: page(nets) for nets in parts}
    text = "\n".join(pages.values())
    given.out.mkdir(parents=True, exist_ok=True)
    (given.out / "which-tasks.md").write_text(text, encoding="utf-8")
    say(text)
    if given.write:
        for name, tables in pages.items():
            put(PAGE, tables, f"which tasks, {name}")


def page(nets: Nets) -> str:
    """What is known, as Markdown: measured lines only."""
    known = {name: found for name in lessons() if (found := nets.found(name))}
    first = next(iter(known.values()))[0]
    sick = sum(first["anomalous"])
    head = (
        f"{nets.part.title[0].upper()}{nets.part.title[1:]}: {len(first['scores'])} test images of "
        f"{len(set(first['patients']))} subjects, {sick} of them with disease. Each net ({first['weights']:,} weights) "
        f"learnt for {nets.steps} steps of {nets.part.batch} pictures from {first['healthy']} healthy images.\n"
    )
    prevalence = f"{100 * sick / len(first['scores']):.1f}"
    rows = [["random or constant", "", "", "50.0", prevalence, ""], *_rows(known)]
    return head + "\n" + table(["taught by", "kind", "seeds", "AUROC", "AP", "processor seconds a net"], rows)


def _rows(known: dict[str, list[dict]]) -> Iterator[list[str]]:
    for name, found in known.items():
        tasks = lessons()[name]
        kind = TASKS[name].kind if name in TASKS else f"mixture of {len(tasks)}" if tasks else ""
        many = [np.array(one["scores"]) for one in found]
        cells = [cell(figure(metric, many, _judged(found))) for metric in METRICS]
        yield [name, kind, str(len(found)), *cells, f"{np.mean([one['seconds'] for one in found]):.0f}"]


def _judged(found: Sequence[dict]) -> TestImages:
    """The truth about the scored images; figures need no pictures."""
    truth = np.array(found[0]["anomalous"])
    return TestImages(
        images=np.zeros((len(truth), 0), np.float32),
        foregrounds=np.zeros((len(truth), 0), bool),
        anomalous=truth,
        patients=tuple(found[0]["patients"]),
    )


if __name__ == "__main__":
    main()
