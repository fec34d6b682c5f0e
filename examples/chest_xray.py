"""Does it work on real disease? python examples/chest_xray.py RAW --out results

RAW is the ZhangLab (Kermany) set of children's chest radiographs, as unpacked. Detectors learn from its healthy
training images alone and are judged on its test images, healthy and with pneumonia, which nothing was chosen on. Every
run of the protocol is trained with several seeds, and beside them what has to be beaten: an untrained network, maps
that know nothing of disease, an autoencoder of the same size and schedule; then two augmentations, and training sets
into which diseased images were mixed. The tables go to OUT/results.md. It takes hours; interrupted, the same command
goes on.
"""

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from xray_mixed import SHARES, mix
from xray_plan import Plan, Words
from xray_tables import results

from synthanom.truth_set import open_truth_set

CONFIG = Path(__file__).parents[1] / "configs" / "chest_xray_small.yaml"
PAGE = Path(__file__).parents[1] / "docs" / "results.md"
PART = "chest radiographs"


def main() -> None:
    """Build, train, score, write the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("raw", type=Path, help="folder with train/NORMAL and test")
    parser.add_argument("--out", type=Path, default=Path("results"))
    parser.add_argument("--side", type=int, default=64, help="pixels of a side")
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=1, help="trainings at once; threads are shared out among them")
    parser.add_argument("--write", action="store_true", help="also write the tables into docs/results.md")
    given = parser.parse_args()
    plan = Plan(out=given.out, config=CONFIG, side=given.side, epochs=given.epochs, seeds=given.seeds, jobs=given.jobs)
    build(given.raw, plan)
    train(plan)
    command("synthanom-train", plan.data, "--summarise", "--out", plan.runs)
    say("scoring the test images")
    page = results(plan)
    (plan.out / "results.md").write_text(page, encoding="utf-8")
    say(page)
    if given.write:
        put(PAGE, page, PART)
    show(plan)


def build(raw: Path, plan: Plan) -> None:
    """The healthy training images with anomalies, the list of test images, and the mixed training sets."""
    shape = ("--shape", f"{plan.side},{plan.side}", "--variants", "4", "--codec", "lz4")
    command("build-dataset", "zhanglab", raw, "--out", plan.data, *shape)
    if not plan.test.exists():
        command("build-dataset", "zhanglab", raw, "--test", "--out", plan.test)
    cases = open_truth_set(plan.test).cases
    for share in SHARES:
        mix(raw, cases, share, plan.mixed(share) / "raw")
        command("build-dataset", "zhanglab", plan.mixed(share) / "raw", "--out", plan.mixed(share) / "data", *shape)


def train(plan: Plan) -> None:
    """Every training, several at once; each is a command that goes on where it was interrupted."""
    threads = max(1, (os.cpu_count() or 1) // plan.jobs)
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}

    def one(words: Words) -> int:
        return run(words, environment, plan.times)

    with ThreadPoolExecutor(plan.jobs) as pool:
        failed = [status for status in pool.map(one, plan.trainings()) if status]
    if failed:
        sys.exit(failed[0])


def show(plan: Plan) -> None:
    """The pictures: maps of an ensemble and of the autoencoder through the commands that anybody would use."""
    models, other = plan.ensemble(tasks=4, seed=0), plan.autoencoder(0)
    for folders, maps in ((models, plan.out / "maps"), ([other], plan.out / "maps-autoencoder")):
        command("synthanom", "predict", *folders, "--input", plan.test, "--out", maps)
    compared = ("--against", plan.out / "maps-autoencoder", "--images", plan.test, "--run", models[0])
    command(
        "synthanom", "evaluate", plan.out / "maps", "--truth", plan.test, "--out", plan.out / "evaluation", *compared
    )


def put(page: Path, tables: str, name: str) -> None:
    """Replace what stands between the two marks of a page's measured part."""
    begin, end = f"<!-- measured: {name} -->", f"<!-- end: {name} -->"
    before, _, rest = page.read_text(encoding="utf-8").partition(begin)
    _, found, after = rest.partition(end)
    if not found:
        sys.exit(f"error: {page}: must hold the marks {begin!r} and {end!r}; restore the page")
    page.write_text(f"{before}{begin}\n\n{tables.strip()}\n\n{end}{after}", encoding="utf-8")


def command(*words: object) -> None:
    """Run an installed command; stop with its status if it fails."""
    status = run(words, dict(os.environ))
    if status:
        sys.exit(status)


def run(words: Iterable[object], environment: dict[str, str], times: Path | None = None) -> int:
    """Run an installed command and give its status; add to `times` what it took of the processor."""
    name, *rest = (str(word) for word in words)
    line = " ".join([name, *rest])
    say(f"$ {line}")
    process = subprocess.Popen([Path(sys.executable).parent / name, *rest], env=environment)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if times is not None:
        with times.open("a", encoding="utf-8") as file:  # one short line, written at once
            file.write(f"{used.ru_utime + used.ru_stime:.1f},{line}\n")
    return process.returncode


def say(text: str) -> None:
    """Print at once, also into a pipe, with the time."""
    print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)


if __name__ == "__main__":
    main()
