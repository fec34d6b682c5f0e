"""The report on a data set."""

from dataclasses import replace
from pathlib import Path

from synthanom.description import Description, ImageContent, Intensities, describe
from synthanom.description.anomalies import MARKED_ROWS, task_contents
from synthanom.description.tables import content_tables, description_lines, leaks_text
from synthanom.listed import is_listed
from synthanom.pictures.content import content_charts
from synthanom.progress import Track, untold
from synthanom.report.charts import chart_svg
from synthanom.report.gallery import BUDGET, examples_of, gallery
from synthanom.report.measures import measure_charts, measured
from synthanom.report.page import Page, Section, section
from synthanom.report.pipeline import levels, pairs, unusable
from synthanom.report.provenance import provenance
from synthanom.report.rows import evenly
from synthanom.shards import DataSet

SKIPPED = "skipped.csv"
SHOWN_LINES = 200  # of the skipped files and of the leaks
READ_VOXELS, FEWEST_IMAGES, MOST_IMAGES = 500_000_000, 16, 500  # healthy images that are read for their intensities


def data_set_page(path: Path, track: Track = untold) -> Page:
    """The report on the data set in `path`: bounded in size and time, however large the data set is.

    Raises
    ------
    SynthanomError
        If the data set is unfinished or damaged.
    """
    quick = describe(path, quick=True, track=track)
    with DataSet.open(path) as data:
        found = replace(quick, images=_images(data, track), tasks=task_contents(data, track))
        sections = (
            _summary(found),
            _gallery(data, track),
            _distributions(data, found, track),
            _folds(data, found),
            _skipped(data),
            section("provenance", "Provenance", "data_set/provenance.html", **provenance(data)),
        )
    counts, name = found.manifest.counts, path.resolve().name
    lead = (
        f"{counts['healthy']} healthy images of {len(found.manifest.folds)} subjects, "
        f"{counts['anomalies']} anomalous pictures by {len(found.tasks)} tasks."
    )
    return Page(kind="data set", title=name, lead=lead, sections=sections)


def _images(data: DataSet, track: Track) -> ImageContent:
    """Intensities, voxel sizes and foregrounds of some images, evenly spread."""
    voxels = max(1, data.manifest.channels)
    for side in data.shape:
        voxels *= side
    content = ImageContent(intensities=tuple(Intensities() for _ in range(data.channels)))
    rows = evenly(len(data), min(MOST_IMAGES, max(FEWEST_IMAGES, READ_VOXELS // voxels)))
    for row in track("reading images", rows, len(rows)):
        content.add(data.healthy(row))
    return content


def _summary(found: Description) -> Section:
    images = 0 if found.images is None else len(found.images.foregrounds)
    return section(
        "summary",
        "What it holds",
        "data_set/summary.html",
        lines=description_lines(found)[1:],  # the first is the folder, which is the title
        leaks=[str(leak) for leak in found.leaks[:SHOWN_LINES]],
        leaks_text=leaks_text(replace(found, images=None)),
        notes=found.notes,
        images=images,
        healthy=found.manifest.counts["healthy"],
        marked=MARKED_ROWS,
    )


def _gallery(data: DataSet, track: Track) -> Section:
    return section(
        "gallery",
        "Gallery",
        "data_set/gallery.html",
        tasks=gallery(data, track),
        examples=examples_of(data),
        budget=BUDGET // 1_000_000,
        volume=len(data.shape) == 3,
    )


def _distributions(data: DataSet, found: Description, track: Track) -> Section:
    taken = measured(data, track)
    return section(
        "distributions",
        "Distributions",
        "data_set/distributions.html",
        charts=[chart_svg(chart) for chart in (*content_charts(found), *measure_charts(taken))],
        tables=list(content_tables(found)),
        rows=max((len(each.mass) for each in taken), default=0),
        marked=MARKED_ROWS,
    )


def _folds(data: DataSet, found: Description) -> Section:
    return section(
        "folds",
        "Folds and runs",
        "data_set/folds.html",
        pairs=pairs(data, found),
        tasks=data.tasks,
        unusable=unusable(data),
        levels=levels(data),
    )


def _skipped(data: DataSet) -> Section:
    rows = data.table(SKIPPED) if is_listed(data.manifest, SKIPPED) else []
    columns = [name for name in (rows[0] if rows else ()) if name is not None]
    cells = [[str(row.get(name) or "") for name in columns] for row in rows[:SHOWN_LINES]]
    return section("skipped", "Skipped", "data_set/skipped.html", columns=columns, rows=cells, total=len(rows))
