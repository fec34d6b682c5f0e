"""What a data set holds, as charts."""

from collections.abc import Iterator

import numpy as np

from synthanom.description import Description
from synthanom.description.anomalies import LABEL_EDGES
from synthanom.pictures.charts import Chart, Series, charts_picture

SIZE_BARS = 14


def describe_picture(found: Description) -> bytes:
    """Histograms of intensities, anomalies per fold, anomaly sizes and labels, as a PNG."""
    counts = found.manifest.counts
    heading = f"{found.folder.resolve().name}: {counts['healthy']} healthy images, {counts['anomalies']} anomalous ones"
    return charts_picture(content_charts(found), heading)


def content_charts(found: Description) -> list[Chart]:
    """Histograms of intensities, anomalies per fold, anomaly sizes and labels."""
    return [_intensities(found), *_anomalies(found)]


def _intensities(found: Description) -> Chart:
    intensities = () if found.images is None else found.images.intensities
    bars = [(number, *channel.histogram()) for number, channel in enumerate(intensities) if channel.total]
    return Chart(
        title="intensities in the foreground",
        x="value, between the 0.1 % and the 99.9 % quantile",
        y="share of voxels, %",
        series=tuple(
            Series(name=f"channel {number}", counts=100 * counts / max(1, counts.sum()), edges=edges)
            for number, edges, counts in bars
        ),
        own_legend=True,
    )


def _anomalies(found: Description) -> Iterator[Chart]:
    tasks = [task for task in found.tasks if task.rows]
    if not tasks:
        return
    folds = tuple(str(fold) for fold in found.fold_sizes)
    yield Chart(
        title="anomalous pictures",
        x="fold",
        y="pictures",
        series=tuple(Series(name=task.name, counts=np.array(list(task.folds.values()))) for task in tasks),
        columns=folds,
    )
    sizes = [(task.name, task.sizes) for task in tasks if task.sizes is not None]
    every = np.concatenate([values for _, values in sizes])
    edges = np.geomspace(max(1, every.min()), max(2, every.max()) + 1, SIZE_BARS + 1)
    yield Chart(
        title="sizes of the anomalies",
        x="voxels of the region",
        y="share of the task's pictures, %",
        series=tuple(
            Series(name=name, counts=100 * np.histogram(values, edges)[0] / len(values), edges=edges)
            for name, values in sizes
        ),
        logarithmic=True,
    )
    yield Chart(
        title="labels above 0",
        x="label",
        y="share of the task's labelled voxels, %",
        series=tuple(
            Series(name=task.name, counts=100 * task.labels / max(1, task.labels.sum()), edges=np.array(LABEL_EDGES))
            for task in tasks
            if task.labels is not None
        ),
    )
