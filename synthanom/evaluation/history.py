"""The history of a training run: what was logged against the step, and which point was kept."""

import csv
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from synthanom.errors import SynthanomError
from synthanom.pictures.plots import Line, Mark, Plot

DECADES = 30.0  # the highest over the lowest


@dataclass(frozen=True, kw_only=True, eq=False)
class Logged:
    """One logged figure: epochs, steps and values (n,), by step."""

    name: str
    epochs: npt.NDArray[np.float64]
    steps: npt.NDArray[np.float64]
    values: npt.NDArray[np.float64]


def read_history(run: Path) -> dict[str, Logged]:
    """Losses and average precisions that a run logged, by name; several files where it was resumed.

    Raises
    ------
    SynthanomError
        No losses, or a file that cannot be read.
    """
    columns: dict[str, list[tuple[float, float, float]]] = {}
    for path in sorted(run.glob("logs/**/metrics.csv")):
        try:
            with path.open(newline="", encoding="utf-8") as file:
                for row in csv.DictReader(file):
                    for name, value in row.items():
                        if value and row.get("step") and ("loss" in str(name) or "average_precision" in str(name)):
                            point = (float(row["step"]), float(row.get("epoch") or math.nan), float(value))
                            columns.setdefault(str(name), []).append(point)
        except (OSError, ValueError, csv.Error) as error:
            raise SynthanomError(f"{path}: must be a readable log of losses, got: {error}; check the run") from error
    if not any("loss" in name for name in columns):
        raise SynthanomError(
            f"{run}: must hold logs/**/metrics.csv with losses, as synthanom-train writes; check --run"
        )
    found = {}
    for name, points in sorted(columns.items()):
        steps, epochs, values = np.array(sorted(points, key=lambda point: point[0])).T
        found[name] = Logged(name=name, epochs=epochs, steps=steps, values=values)
    return found


def history_plot(history: dict[str, Logged], title: str, *, best_epoch: int | None = None) -> Plot:
    """Losses against the step; the epoch whose model was kept is marked on the validation loss."""
    found = {name: logged for name, logged in history.items() if "loss" in name}
    lines = [
        Line(name=name.replace("_", " "), x=logged.steps, y=logged.values, colour=number)
        for number, (name, logged) in enumerate(found.items())
    ]
    return Plot(
        title=title, x="step", y="loss", lines=tuple(lines), logarithmic=over_decades(lines),
        marks=tuple(best_marks(found.get("validation_loss"), best_epoch)),
    )  # fmt: skip


def over_decades(lines: Sequence[Line]) -> bool:
    """Whether losses are so far apart, and all above 0, that a logarithmic axis shows them better."""
    values = np.concatenate([line.y for line in lines])
    return bool(values.min() > 0 and values.max() > DECADES * values.min())


def best_marks(logged: Logged | None, best_epoch: int | None) -> list[Mark]:
    """A point at the epoch whose model was kept; none where it was not logged."""
    if logged is None or best_epoch is None:
        return []
    places = np.flatnonzero(logged.epochs == best_epoch)
    if not places.size:
        return []
    place = int(places[-1])
    return [Mark(words=f"kept: epoch {best_epoch}", x=float(logged.steps[place]), y=float(logged.values[place]))]
