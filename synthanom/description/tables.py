"""A description in words, for people: lines, and tables below them."""

import math
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise

from synthanom.description.anomalies import LABEL_EDGES, MARKED_ROWS
from synthanom.description.describe import Description
from synthanom.exporting.room import size_text
from synthanom.leaks import KINDS


def leaks_text(found: Description) -> str:
    """How many leaks were found, by kind."""
    where = "".join(f" and {folder}" for folder in found.against)
    looked = (
        f"{'names and donors' if found.images is None else 'names, donors and images'} of {len(found.fold_sizes)} fold"
    )
    looked += f"{'' if len(found.fold_sizes) == 1 else 's'}{where} compared"
    kinds = Counter(leak.kind for leak in found.leaks)
    return f"{', '.join(f'{kinds[kind]} {kind}' for kind in KINDS if kinds[kind]) or 'none'} ({looked})"


def description_lines(found: Description) -> list[tuple[str, str]]:
    """Name and value of what a data set holds."""
    manifest = found.manifest
    sides = " x ".join(str(side) for side in manifest.shape)
    stored = [size_text(count) for count in found.stored_bytes]
    # what images and labels of all rows would take without compression
    voxels = math.prod(manifest.shape)
    dense = 4 * voxels * (manifest.counts["healthy"] * manifest.channels)
    dense += 4 * voxels * (manifest.counts["anomalies"] * (manifest.channels + 1))
    steps = [str(step.get("name")) for step in manifest.preprocessing.get("steps", [])]
    donors = [("donors", f"{len(manifest.donor_folds)} external subjects")] if manifest.donor_folds else []
    return [
        ("data set", str(found.folder)),
        ("images", f"{manifest.counts['healthy']} healthy, {len(manifest.folds)} subjects"),
        ("shape", f"{sides}, {manifest.channels} channel{'s' if manifest.channels > 1 else ''}"),
        *_image_lines(found),
        ("preprocessing", ", ".join(steps) or "none"),
        ("folds", ", ".join(f"{fold}: {count} subjects" for fold, count in found.fold_sizes.items())),
        *donors,
        *((f"task {task.name}", f"{task.rows} rows") for task in found.tasks),
        ("variants", f"{manifest.variants} per image and task"),
        ("seed", str(manifest.seed)),
        ("on disk", f"{stored[0]} healthy, {stored[1]} anomalies ({size_text(dense)} as plain arrays)"),
        ("built by", f"synthanom {manifest.version}"),
    ]


def _image_lines(found: Description) -> Iterator[tuple[str, str]]:
    content = {} if found.images is None else found.images.to_dict()
    if content.get("spacing_mm"):
        low, high = content["spacing_mm"]["min"], content["spacing_mm"]["max"]
        sides = (
            f"{a:.3g}" if math.isclose(a, b, rel_tol=1e-3) else f"{a:.3g} to {b:.3g}"
            for a, b in zip(low, high, strict=True)
        )
        yield "voxel size", f"{' x '.join(sides)} mm"
    if content.get("foreground_share"):
        low, middle, high = (100 * content["foreground_share"][name] for name in ("min", "median", "max"))
        yield "foreground", f"{low:.0f} to {high:.0f} % of an image, median {middle:.0f} %"


def content_tables(found: Description) -> Iterator[tuple[str, list[str], list[list[str]]]]:
    """Title, columns and rows of the tables below the lines."""
    images = {} if found.images is None else found.images.to_dict()
    if images.get("intensities"):
        names = ["min", "q01", "median", "q99", "max"]
        rows = [
            [str(channel), *(f"{values[name]:.3g}" for name in names)]
            for channel, values in enumerate(images["intensities"])
        ]
        yield "intensities in the foreground", ["channel", "min", "1 %", "median", "99 %", "max"], rows
    if not found.tasks:
        return
    folds = list(found.fold_sizes)
    counts = [
        [task.name, f"{100 * share:.1f} %", *(str(task.folds[fold]) for fold in folds)]
        for task, share in zip(found.tasks, found.shares(), strict=True)
    ]
    yield "anomalous pictures by fold", ["task", "share", *(f"fold {fold}" for fold in folds)], counts
    yield from _marks_tables(found)


def _marks_tables(found: Description) -> Iterator[tuple[str, list[str], list[list[str]]]]:
    """Sizes and labels, of the rows that were read."""
    read = [task for task in found.tasks if task.sizes is not None and len(task.sizes) and task.labels is not None]
    if not read:
        return
    part = any(len(task.sizes) < task.rows for task in read if task.sizes is not None)
    of = f", {MARKED_ROWS} rows of a task at most, evenly spread" if part else ""
    sizes = [[task.name, *(f"{v:.0f}" for v in (task.size_quantiles() or {}).values())] for task in read]
    yield f"voxels of the region{of}", ["task", "min", "5 %", "25 %", "median", "75 %", "95 %", "max"], sizes
    bars = [f"{low:.1f}-{high:.1f}" for low, high in pairwise(LABEL_EDGES)]
    labels = [
        [task.name, *(f"{100 * count / max(1, task.labels.sum()):.0f}" for count in task.labels)]
        for task in read
        if task.labels is not None
    ]
    yield f"labels above 0, % of their voxels{of}", ["task", *bars], labels
