"""One picture of what the best model makes of its validation pictures."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from synthanom.manifest import replaced_file
from synthanom.shards import DataSet
from synthanom.training.batches import StoredPictures
from synthanom.training.checkpoint import Model
from synthanom.training.predict import raw_score_map
from synthanom.training.rows import Pick


def examples(picks: Sequence[Pick]) -> tuple[Pick, ...]:
    """The first healthy picture and the first of each task."""
    first: dict[str | None, Pick] = {}
    for pick in picks:
        first.setdefault(pick.task, pick)
    return tuple(first.values())


def write_panel(path: Path, model: Model, data: DataSet, picks: Sequence[Pick]) -> None:
    """Draw image, label and score map of each pick in a row of a PNG; volumes at the label's brightest slice.

    Raises
    ------
    SynthanomError
        If a picture is damaged or the file cannot be written.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    source = StoredPictures(data=data)
    figure = Figure(figsize=(6.6, 2.1 * len(picks)), layout="constrained")
    FigureCanvasAgg(figure)  # draws without a display
    axes = figure.subplots(len(picks), 3, squeeze=False)
    for row, pick in zip(axes, picks, strict=True):
        image, label = source.picture(pick)
        score = np.clip(raw_score_map(model, image), 0.0, 1.0)
        z = _slice(label)
        _show(row[0], image[0], z, pick.task or "healthy", {"cmap": "gray"})
        _show(row[1], label, z, "label", {"cmap": "magma", "vmin": 0, "vmax": 1})
        _show(row[2], score, z, f"score, at most {score.max():.2f}", {"cmap": "magma", "vmin": 0, "vmax": 1})
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=110)
    with replaced_file(path) as file:
        file.write(content.getvalue())


def _slice(label: npt.NDArray[np.float32]) -> int:
    """The slice of a volume with the largest sum of labels, the middle one where there is none."""
    if label.ndim == 2 or not label.any():
        return int(label.shape[0]) // 2
    return int(np.argmax(label.sum(axis=(1, 2))))


def _show(axis: Any, values: npt.NDArray[np.float32], z: int, title: str, look: dict[str, Any]) -> None:
    # Y of a volume grows towards the front of the head: turned over, the front is up
    flat = values if values.ndim == 2 else values[z, ::-1]
    axis.imshow(flat, interpolation="nearest", **look)
    axis.set_title(title, fontsize=8)
    axis.set_axis_off()
