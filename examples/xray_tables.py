"""The tables of examples/chest_xray.py: what was found, with intervals, as Markdown."""

import csv
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from xray_mixed import SHARES, mixed_in
from xray_plan import ABLATIONS, JUDGED, RUNS, Plan
from xray_scores import (
    Found,
    Scored,
    TestImages,
    figure,
    read_test_images,
    score_run,
    score_runs,
    score_trivially,
    score_untrained,
)

from synthanom.metrics import interval_of_draws
from synthanom.training.checkpoint import load_model, read_card
from synthanom.training.folder import finished
from synthanom.truth_set import open_truth_set

COLUMNS = ("AUROC", "AP", "AUROC, top quarter", "AP, top quarter")


@dataclass(frozen=True, kw_only=True, eq=False)
class Line:
    """A line of a table: scores by every model of one kind."""

    name: str
    scored: Sequence[Scored]


def results(plan: Plan) -> str:
    """The page with all tables.

    Every run must be trained.
    """
    test = read_test_images(plan.test, plan.autoencoder(0))
    lines = list(_lines(plan, test))
    parts = [_head(plan, test), _main_table(lines, test), "\n## Differences\n", _differences(lines, test)]
    parts += ["\n## Diseased images among the training images\n", _mixed_table(plan, test)]
    parts += ["\n## Augmentations\n", _ablations(plan, test)]
    parts += [
        "\n## How alike the tasks are\n",
        _similarity(plan.runs / "similarity.csv"),
        "\n## What it took\n",
        _cost(plan),
    ]
    return "\n".join(parts)


def _head(plan: Plan, test: TestImages) -> str:
    sick = int(test.anomalous.sum())
    return (
        f"{len(test.anomalous)} test images of {len(set(test.patients))} patients, {sick} of them with pneumonia, "
        f"{plan.side} x {plan.side} pixels; {plan.seeds} seeds, {plan.epochs} epochs of the healthy training images.\n"
    )


def _lines(plan: Plan, test: TestImages) -> Iterator[Line]:
    seeds = range(plan.seeds)
    untrained = plan.ensemble(tasks=JUDGED[0], seed=0)[JUDGED[1]]
    yield Line(name="untrained network", scored=[score_untrained(untrained, seed, test) for seed in seeds])
    for name, scored in score_trivially(test):
        yield Line(name=f"trivial: {name}", scored=[scored])
    yield Line(name="autoencoder", scored=[score_run(plan.autoencoder(seed), test) for seed in seeds])
    for tasks in RUNS:
        ensembles, singles = [], []
        for seed in seeds:
            together, each = score_runs(plan.ensemble(tasks=tasks, seed=seed), test)
            ensembles.append(together)
            singles.append(each)
        if tasks == 1:
            for run, folder in enumerate(plan.ensemble(tasks=1, seed=0)):
                (task,) = read_card(folder).training["run"]["train_tasks"]
                yield Line(name=f"trained on {task} alone", scored=[each[run] for each in singles])
        yield Line(name=f"T = {tasks}, single models", scored=[one for each in singles for one in each])
        yield Line(name=f"T = {tasks}, ensembles of {RUNS[tasks]}", scored=ensembles)


def _main_table(lines: Sequence[Line], test: TestImages) -> str:
    prevalence = f"{100 * test.anomalous.mean():.1f}"
    rows = [["random or constant", "", "50.0", prevalence, "50.0", prevalence]]
    rows += [[line.name, str(len(line.scored)), *_cells(line.scored, test)] for line in lines]
    return table(["method", "models", *COLUMNS], rows)


def _cells(scored: Sequence[Scored], test: TestImages) -> Iterator[str]:
    for many in ([one.chosen for one in scored], [one.quarter for one in scored]):
        for metric in ("auroc", "ap"):
            yield cell(figure(metric, many, test))


def cell(found: Found) -> str:
    """Mean over models in per cent, deviation over models if there are several, 95 % interval over patients."""
    interval = interval_of_draws(found.values.mean(), found.draws)
    spread = f" ± {100 * found.values.std(ddof=1):.1f}" if len(found.values) > 1 else ""
    return f"{100 * found.values.mean():.1f}{spread} [{100 * interval.low:.1f}, {100 * interval.high:.1f}]"


def _differences(lines: Sequence[Line], test: TestImages) -> str:
    """Ensembles minus what has to be beaten, AUROC by the chosen aggregation, on the same resamples."""
    others = [line for line in lines if line.name.startswith(("untrained", "trivial", "autoencoder"))]
    ours = [line for line in lines if "ensembles" in line.name]
    rows = []
    for other in others:
        cells = []
        for line in ours:
            a, b = (figure("auroc", [one.chosen for one in each.scored], test) for each in (line, other))
            found = interval_of_draws(a.values.mean() - b.values.mean(), a.draws - b.draws)
            cells.append(f"{100 * found.value:+.1f} [{100 * found.low:+.1f}, {100 * found.high:+.1f}]")
        rows.append([other.name, *cells])
    return table(["AUROC minus that of", *(line.name for line in ours)], rows)


def _mixed_table(plan: Plan, test: TestImages) -> str:
    kept = test.without(mixed_in(open_truth_set(plan.test).cases))
    rows = []
    for share in SHARES:
        cells = []
        for detector in ("multitask", "autoencoder"):
            many = [score_run(plan.of_mixed(share, detector, seed), test).chosen for seed in range(plan.seeds)]
            cells += [cell(figure(metric, many, test, kept)) for metric in ("auroc", "ap")]
        rows.append([f"{share} %", *cells])
    names = [f"{detector}, {metric}" for detector in ("T = 4, run 0", "autoencoder") for metric in ("AUROC", "AP")]
    told = f"Judged on the {int(kept.sum())} test images of patients of whom nothing was mixed in.\n\n"
    return told + table(["diseased", *names], rows)


def _ablations(plan: Plan, test: TestImages) -> str:
    tasks, run = JUDGED
    seeds = range(plan.seeds)
    plain = [plan.ensemble(tasks=tasks, seed=seed)[run] for seed in seeds]
    entries = [("none", plain), *((name, [plan.ablation(name, seed) for seed in seeds]) for name in ABLATIONS)]
    rows = [[name, *_cells([score_run(folder, test) for folder in folders], test)] for name, folders in entries]
    return table([f"T = {tasks}, run {run}, with", *COLUMNS], rows)


def _similarity(path: Path) -> str:
    """The table that --summarise wrote, average precision of whole images only."""
    with path.open(newline="", encoding="utf-8") as file:
        columns, *rows = list(csv.reader(file))
    shown = [
        [row[columns.index("trained on")], *(f"{100 * float(cell):.1f}" if cell else "" for cell in row[4:])]
        for row in rows
        if row[0] == "sample_average_precision"
    ]
    return table(["trained on", *columns[4:]], shown)


def _cost(plan: Plan) -> str:
    rows = []
    for name, marked, folder in (
        ("multitask", False, plan.ensemble(tasks=4, seed=0)[0]),
        ("autoencoder", True, plan.autoencoder(0)),
    ):
        model, ended = load_model(folder), finished(folder) or {}
        weights = sum(p.numel() for p in model.detector.module.parameters())
        rows.append([name, f"{weights:,}", str(ended.get("epochs", "")), _seconds(plan.times, marked)])
    return table(["detector", "weights", "epochs", "processor seconds a model"], rows)


def _seconds(path: Path, autoencoder: bool) -> str:
    """Mean over the models of the commands that trained them, start and thresholds included."""
    seconds: dict[str, float] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        value, words = line.split(",", 1)
        if ("--detector autoencoder" in words) == autoencoder:
            seconds[words] = seconds.get(words, 0.0) + float(value)  # a command may have been given again
    models = sum(RUNS[_tasks(words)] if "--all" in words else 1 for words in seconds)
    return f"{sum(seconds.values()) / models:.0f}" if models else "unknown"


def _tasks(words: str) -> int:
    """How many tasks a training command trains on."""
    parts = words.split()
    return int(parts[parts.index("--train-tasks") + 1])


def table(head: Iterable[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table, all columns but the first to the right."""
    names = list(head)
    rule = ["---", *["---:"] * (len(names) - 1)]
    safe = ([cell.replace("|", r"\|") for cell in cells] for cells in (names, rule, *rows))
    return "".join(f"| {' | '.join(cells)} |\n" for cells in safe)
