"""The report on a folder of maps: how well they find what the truth says is there, and what they look like."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from synthanom.evaluation import Evaluation, evaluate
from synthanom.evaluation.collect import STORED
from synthanom.evaluation.evaluate import samples_of
from synthanom.evaluation.figures import PREFERRED, Plots, curve_plots
from synthanom.evaluation.ranking import DRAWS
from synthanom.evaluation.rows import MODEL, RANDOM, SampleScore
from synthanom.evaluation.scans import find_scans
from synthanom.evaluation.tables import cut_table, difference_table, interval_text, ranking_table
from synthanom.evaluation.truth import STORED_CUT, Item, Maps, find_maps, find_truth, unlabelled
from synthanom.pictures.plots import Line, Mark, Plot
from synthanom.progress import Track, untold
from synthanom.report.asked import Asked
from synthanom.report.bands import curve_bands
from synthanom.report.calling import Calling, callings
from synthanom.report.case_pictures import DrawnCase, drawn_case, heat_scale
from synthanom.report.cases import MOST, ranked, read_cases, shown_places
from synthanom.report.charts import plot_svg
from synthanom.report.grids import grid, pairs
from synthanom.report.page import Page, Section, section
from synthanom.report.run import history_sections

ALLOWED = 9_000_000  # characters of the page that all pictures of cases take
LONGEST = 20_000  # characters of the JSON that is shown
TITLES = {
    "roc": "ROC",
    "precision-recall": "precision and recall",
    "cuts": "figures against the cut",
    "densities": "scores by class",
}
LEVELS = {"sample": "whole images", "slice": "slices", "pixel": "pixels"}
HIDDEN = ("maps", "windows", "segmentations", "skipped", "without_mask", "models")  # of predict.json: long


@dataclass(frozen=True, kw_only=True, eq=False)
class Known:
    """Maps with what was measured; without the truth no `found`."""

    maps: Maps
    items: tuple[Item, ...]
    samples: tuple[SampleScore, ...]
    found: Evaluation | None
    way: str


def maps_page(folder: Path, asked: Asked, track: Track = untold) -> Page:
    """The page about a folder of maps.

    Parameters
    ----------
    folder : Path
    asked : Asked
        Without truth and labels the page shows scores and cases, nothing that would need to know who is ill.
    track : Track

    Raises
    ------
    SynthanomError
        As `synthanom.evaluation.evaluate`, or no map.
    """
    known = _measured(folder, asked, track)
    sections: list[Section] = []
    if known.found is None:
        sections.append(_scores_section(known))
    else:
        made = _ordered(callings(known.found), known.way)
        sections.append(_curves_section(known.found, known.way))
        sections.append(_calling_section(known.found, made, known.way))
    sections.append(_cases_section(known, asked, track))
    if known.found is not None:
        sections.append(_figures_section(known.found))
    if asked.run is not None:
        sections += history_sections(asked.run)
    sections.append(_about_section(folder, known))
    return Page(
        kind="folder of maps",
        title=folder.resolve().name,
        lead=_lead(known),
        sections=tuple(sections),
        scripts=("maps/calling.js",),
    )


def _measured(folder: Path, asked: Asked, track: Track) -> Known:
    maps = find_maps(MODEL, folder)
    if not asked.knows_truth:
        items = unlabelled(maps)
        samples = samples_of(maps, items, asked.choices, track=track)
        return Known(maps=maps, items=items, samples=samples, found=None, way=_way(samples))
    truth = find_truth(maps, asked.truth, asked.labels, asked.missing)
    found = evaluate(
        folder,
        asked.truth,
        asked.labels,
        missing=asked.missing,
        images=asked.images,
        choices=asked.choices,
        track=track,
    )
    return Known(maps=maps, items=truth.items, samples=found.samples, found=found, way=_way(found.samples))


def _way(samples: Sequence[SampleScore]) -> str:
    return next(way for way in PREFERRED if way in samples[0].scores)


def _ordered(made: Sequence[Calling], way: str) -> tuple[Calling, ...]:
    """Whole images by the preferred score first."""
    return tuple(sorted(made, key=lambda one: (one.level, one.score) != ("sample", way)))


def _figures_section(found: Evaluation) -> Section:
    return section(
        "figures",
        "All figures",
        "maps/figures.html",
        notes=found.notes,
        ranking=grid(ranking_table(found)),
        cuts=grid(cut_table(found, maps=(MODEL, RANDOM))),
        others=grid(cut_table(found, maps={row.maps for row in found.cuts} - {MODEL, RANDOM})),
        differences=grid(difference_table(found)),
    )


def _curves_section(found: Evaluation, way: str) -> Section:
    bands = {}
    if any(sample.anomalous for sample in found.samples) and not all(sample.anomalous for sample in found.samples):
        bands = curve_bands(found.samples, way, found.seed)
    made: dict[str, dict[str, Any]] = {}
    for plots in curve_plots(found):
        for level, plot in zip(plots.levels, plots.plots, strict=True):
            score = _score_of(found, level)
            about = {"level": level, "score": score, "words": _words(level, score)}
            entry = made.setdefault(level, {**about, "figures": _main(found, level, score), "charts": []})
            entry["charts"].append(_chart(plots, plot, bands if level == "sample" else {}))
    return section("curves", "Curves", "maps/curves.html", levels=list(made.values()), draws=DRAWS)


def _chart(plots: Plots, plot: Plot, bands: Mapping[str, Any]) -> dict[str, Any]:
    """A chart, and between which values its ring or line moves: scores to the right, or from 0 upwards."""
    band = bands.get(plots.name)
    lines = plot.lines
    if band is not None:
        # the line after that of chance is the model's
        lines = (lines[0], replace(lines[1], band=band), *lines[2:])
    right, up = plot.limits if plot.limits is not None else ((0.0, 1.0), (0.0, 1.0))
    low, high = right if plots.name in ("cuts", "densities") else (0.0, up[1])
    drawing = plot_svg(replace(plot, title=TITLES[plots.name], lines=lines))
    return {"name": plots.name, "low": low, "high": high, "drawing": drawing}


def _words(level: str, score: str) -> str:
    return LEVELS[level] + (f", {score}" if score else "")


def _score_of(found: Evaluation, level: str) -> str:
    """The way of scoring that the curves of a level show."""
    ways = {curve.score for curve in found.curves if curve.level == level and curve.maps == MODEL}
    return next(way for way in PREFERRED if way in ways)


def _main(found: Evaluation, level: str, score: str) -> str:
    row = next(row for row in found.rows if (row.level, row.maps, row.score) == (level, MODEL, score))
    figures = {"AUROC": row.roc_auc, "AP": row.average_precision, "AUPRO": row.aupro}
    words = [f"{name} {interval_text(value)}" for name, value in figures.items() if value is not None]
    return f"{', '.join(words)}; {row.positives} of {row.count} are anomalous."


def _calling_section(found: Evaluation, made: Sequence[Calling], way: str) -> Section:
    values = []
    for one in made:
        cards = (one.level, one.score) == ("sample", way)
        asked = {"beta": found.choices.beta, "share": found.choices.prevalence.get(one.level)}
        values.append({**one.to_dict(), **asked, "words": _words(one.level, one.score), "cards": cards})
    return section("calling", "Where to cut", "maps/calling.html", callings=values, beta=f"{found.choices.beta:g}")


def _scores_section(known: Known) -> Section:
    scores = np.array([sample.scores[known.way] for sample in known.samples])
    low, high = float(scores.min()), float(scores.max())
    edges = np.linspace(low, high if high > low else low + 1, 31)
    counts = np.histogram(scores, edges)[0]
    cut = _stored_cut(known)
    marks = () if cut is None else (Mark(words=f"stored {cut:.3g}", x=cut, look="dashed"),)
    left, right = (edges[0], edges[-1]) if cut is None else (min(edges[0], cut), max(edges[-1], cut))
    plot = Plot(
        title=f"scores of {len(scores)} images, {known.way}",
        x="score",
        y="images",
        lines=(Line(name="images", x=(edges[1:] + edges[:-1]) / 2, y=counts.astype(float), colour=0, filled=True),),
        marks=marks,
        limits=((float(left), float(right)), (0.0, 1.1 * float(counts.max()))),
    )
    words = "Nothing is known of who is ill: give masks with --truth or labels with --labels to see how right they are."
    if cut is not None:
        called = int((scores >= cut).sum())
        words = f"{called} of {len(scores)} images score at least {cut:.4g}, the stored cut. {words}"
    return section("scores", "Scores", "maps/scores.html", drawing=plot_svg(plot), words=words)


def _cases_section(known: Known, asked: Asked, track: Track) -> Section:
    order = ranked(known.samples, known.way)
    seed = asked.choices.seed
    places = shown_places(len(order), seed)
    scans = None if asked.images is None else find_scans(asked.images, known.maps)
    cases = list(read_cases(order, places, known.items, known.maps, scans, track=track))
    scale, cut = heat_scale(cases), _stored_cut(known)
    labelled = known.found is not None
    drawn: list[DrawnCase] = []
    for case in cases:
        verdict = "" if cut is None else "called" if case.sample.scores[known.way] >= cut else "not called"
        allowed = ALLOWED // len(cases)
        drawn.append(drawn_case(case, scale, known.way, known=labelled, verdict=verdict, allowed=allowed))
    return section(
        "cases",
        "Cases",
        "maps/cases.html",
        words=_which(len(order), len(places), seed, known.way, scans is not None),
        cases=drawn,
        total=len(order),
        known=labelled,
        live=labelled and len({sample.anomalous for sample in known.samples}) == 2,
        outlines=any(case.outlines for case in drawn),
        low=f"{scale[0]:.3g}",
        high=f"{scale[1]:.3g}",
    )


def _which(count: int, shown: int, seed: int, way: str, scans: bool) -> str:
    words = f"From the highest score ({way}) down."
    if shown < count:
        third = MOST // 3
        words += (
            f" {shown} of {count} cases have pictures: the {third} highest, the {third} lowest, and "
            f"{shown - 2 * third} of those between, drawn by seed {seed}; all count in the figures."
        )
    if not scans:
        words += " Only the maps are shown: the scans below them come with --images."
    return words


def _stored_cut(known: Known) -> float | None:
    """The stored cut of whole images, which holds for the model's own scores only."""
    return known.maps.cuts.get("sample", {}).get(STORED_CUT) if known.way == STORED else None


def _about_section(folder: Path, known: Known) -> Section:
    about = known.maps.about
    rows = [("maps", str(len(known.samples))), ("subjects", str(len({item.subject for item in known.items})))]
    if known.found is not None:
        rows.append(("truth", known.found.data_set))
        rows.append(("seed of the resamples", str(known.found.seed)))
    if not about:
        rows.append(("made by", "another program: there is no predict.json"))
    else:
        rows += [("scored", str(about.get("input", "unknown"))), ("skipped scans", str(len(about.get("skipped", ()))))]
    models = tuple(_models(about))
    stored = {name: value for name, value in about.items() if name not in HIDDEN}
    text = json.dumps(stored, indent=1, sort_keys=True, ensure_ascii=False)
    return section(
        "about",
        "About these maps",
        "maps/about.html",
        about=pairs(str(folder), rows),
        models=pairs("models", models),
        stored=text if len(text) <= LONGEST else f"{text[:LONGEST]}\n(and more in predict.json)",
    )


def _models(about: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for model in about.get("models", ()):
        run = model.get("run") or {}
        tasks = ", ".join(run.get("train_tasks", ()))
        yield (
            str(model.get("name", "")),
            f"SHA-256 {model.get('sha256', 'unknown')}" + (f"; trained on {tasks}" if tasks else ""),
        )


def _lead(known: Known) -> str:
    subjects = len({item.subject for item in known.items})
    words = f"{len(known.samples)} maps of {subjects} subjects"
    if known.found is None:
        return f"{words}; the truth was not given."
    return f"{words}, compared with {known.found.data_set}. 95 % intervals by subject."
