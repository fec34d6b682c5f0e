"""Stored anomalies to look at: panels with a slider, the profile through each, and what was drawn for it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from markupsafe import Markup

from synthanom.donors import DonorRef
from synthanom.pictures.plots import Line, Mark, Plot
from synthanom.pictures.shown import (
    Example,
    Shown,
    change_range,
    cropped,
    grey_range,
    inner_box,
    profile,
    shown,
    turned,
)
from synthanom.preview import stored_example
from synthanom.progress import Track
from synthanom.recipe import Anomaly, Recipe
from synthanom.report.charts import plot_svg
from synthanom.report.rows import evenly
from synthanom.report.viewer import Cuts, Layer, Viewer, sliding_plane, viewer
from synthanom.shards import DataSet

BUDGET = 10_000_000  # characters of all pictures in a report
PICTURES, VOLUMES = 4, 3  # examples of a task
AROUND = 2  # slices shown beside the anomaly
GREY, GREEN = 7, 2  # colours of a profile before and after
LONGEST_VALUE = 160  # characters of a drawn value; masks are lists of thousands of numbers


@dataclass(frozen=True, kw_only=True)
class Card:
    """One stored anomaly.

    Attributes
    ----------
    title : str
    about : str
        Row, variant and fold, and how it is seen.
    seen : Viewer
    profile : Markup
    donors : tuple of str
        Names of the images that were borrowed from.
    drawn : tuple of (str, tuple of (str, str))
        For each anomaly its title, and names and values of what was drawn.
    """

    title: str
    about: str
    seen: Viewer
    profile: Markup
    donors: tuple[str, ...]
    drawn: tuple[tuple[str, tuple[tuple[str, str], ...]], ...]


def examples_of(data: DataSet) -> int:
    """Examples shown of each task, where it has as many rows."""
    return PICTURES if len(data.shape) == 2 else VOLUMES


def gallery(data: DataSet, track: Track) -> list[tuple[str, list[Card]]]:
    """Cards of evenly spread rows of every task."""
    chosen = [(task, row) for task in data.tasks for row in evenly(data.rows(task), examples_of(data))]
    cards: dict[str, list[Card]] = {task: [] for task in data.tasks}
    for task, row in track("drawing examples", chosen, len(chosen)):
        cards[task].append(_card(data, task, row, BUDGET // len(chosen)))
    return list(cards.items())


def _card(data: DataSet, task: str, row: int, allowed: int) -> Card:
    picture = data.anomaly_row(task, row)
    recipe = Recipe.from_json(picture.recipe)
    whole = turned(stored_example(data, task, row))
    low, _ = inner_box(whole)
    seen = shown(cropped(whole))
    fold = data.folds[data.healthy_subjects[picture.healthy_index]]
    name = data.healthy_ids[picture.healthy_index]
    return Card(
        title=name,
        about=f"row {row}, variant {picture.variant}, fold {fold}{_view_words(seen)}",
        seen=viewer(_layers(seen, f"{task} in {name}"), _cuts(seen, whole, low), allowed),
        profile=_profile(seen),
        donors=tuple(_donor_words(anomaly.donor) for anomaly in recipe.anomalies if anomaly.donor is not None),
        drawn=tuple((f"{k + 1}. {a.task}", tuple(_drawn(a))) for k, a in enumerate(recipe.anomalies)),
    )


def _donor_words(donor: DonorRef) -> str:
    return f"{donor.id} ({donor.set})" if donor.set else donor.id


def _view_words(seen: Shown) -> str:
    example = seen.example
    words = f", channel {seen.channel + 1} of {len(example.before)}" if len(example.before) > 1 else ""
    right = sliding_plane(seen.planes).right_is_left and example.affine is not None
    return words + (", the subject's right is on the left" if right else "")


def _layers(seen: Shown, what: str) -> list[Layer]:
    before, after = seen.example.before[seen.channel], seen.example.after[seen.channel]
    difference = after - before
    grey, largest = grey_range(before), change_range(difference)
    return [
        Layer(name="before", alt=f"{what}: before", values=before, limits=grey, colours="gray", marked=True),
        Layer(name="after", alt=f"{what}: after", values=after, limits=grey, colours="gray", marked=True),
        Layer(name="difference", words=f"±{largest:.2g}", alt=f"{what}: difference, blue darker, red brighter",
              values=difference, limits=(-largest, largest), colours="RdBu_r"),
        Layer(name="label", words="0 to 1", alt=f"{what}: label",
              values=seen.example.label, limits=(0, 1), colours="magma"),
    ]  # fmt: skip


def _cuts(seen: Shown, whole: Example, low: Sequence[int]) -> Cuts:
    plane = sliding_plane(seen.planes)
    ends, stars = seen.line.ends, seen.example.centres
    if plane.axis is None:
        return Cuts(plane=plane, wanted=range(1), line=ends, stars=stars)
    others = tuple(axis for axis in range(3) if axis != plane.axis)
    changed = np.flatnonzero((seen.example.label > 0).any(axis=others))
    sides = seen.example.label.shape[plane.axis]
    first = max(0, min(int(changed[0]) if changed.size else plane.index, plane.index) - AROUND)
    last = min(sides, max(int(changed[-1]) if changed.size else plane.index, plane.index) + 1 + AROUND)
    return Cuts(
        plane=plane, wanted=range(first, last), before=low[plane.axis], total=whole.label.shape[plane.axis],
        line=ends, stars=stars,
    )  # fmt: skip


def _profile(seen: Shown) -> Markup:
    pictures = seen.example.before[seen.channel], seen.example.after[seen.channel]
    found = profile(seen, pictures)
    lines: tuple[Line, ...] = (
        Line(name="before", x=found.where, y=found.before, colour=GREY),
        Line(name="after", x=found.where, y=found.after, colour=GREEN),
    )
    if found.limits is not None:
        low, high = found.limits[0]
        inside = (found.where >= low) & (found.where <= high)
        lines = tuple(replace(line, x=line.x[inside], y=line.y[inside]) for line in lines)
    centre = found.at_centre
    marks = () if centre is None else (Mark(words="centre", x=0.0, y=centre, shape="star"),)
    unit = "voxels" if seen.example.spacing is None else "mm"
    title = "profile along the dashed line"
    return plot_svg(Plot(title=title, x=unit, y="value", lines=lines, marks=marks, limits=found.limits))


def _drawn(anomaly: Anomaly) -> Iterator[tuple[str, str]]:
    """Names and values of everything drawn for one anomaly."""
    stored = anomaly.to_dict()
    for name, value in (*stored["region"].items(), *stored["params"].items()):
        yield name.replace("_", " "), _words(value)
    if anomaly.donor is not None:
        yield from (
            ("donor", anomaly.donor.id),
            ("donor set", anomaly.donor.set),
            ("donor SHA-256", anomaly.donor.sha256),
        )


def _words(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.5g}"
    if isinstance(value, list | tuple):
        if value and all(isinstance(part, list | tuple) for part in value):
            text = "; ".join(", ".join(_words(v) for v in part) for part in value)
        else:
            text = ", ".join(_words(part) for part in value)
        return text if len(text) <= LONGEST_VALUE else f"{text[:LONGEST_VALUE]}… ({len(value)} values)"
    return str(value)
