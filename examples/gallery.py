"""What the tasks and their settings do to one picture: docs/gallery.md, and the pictures of it and of docs/tasks.md.

    python examples/gallery.py --out docs

The picture is a slice of the MNI152 template (ICBM 2009a) that nilearn's wheel holds; the donor, which stands for
another subject, is another slice, mirrored. The region is the same in every picture unless it is what differs, and so
are all drawn numbers but the one that the setting governs. The same versions write the same bytes.
"""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib import colormaps
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from scipy import ndimage

from synthanom import Sample, tasks
from synthanom.labels import FlippedGaussian
from synthanom.pictures.png import palette_png
from synthanom.regions import Geometry, Region
from synthanom.tasks.donor_patch import PatchSettings
from synthanom.textures import TextureDonors

HEIGHT, DONOR_HEIGHT = 92, 104  # voxels of 1 mm from the template's bottom
SEED = 5
TILE, TITLE = 1.45, 0.2  # inches: side of a picture, height of its title
RESOLUTION = 120  # dots per inch
GREYS, CHANGES, LABELS = "gray", "RdBu_r", "magma"
PAGE = """# Gallery: what the settings do

One slice of the MNI152 template, one region, and the same drawn numbers wherever a setting does not change them. Above
the picture afterwards, below what changed (red: brighter, blue: darker) or, for labels, the label. In Python settings
are given as `tasks.Sink(push=(1, 1))`, to a build in a [file](builders.md) (`--task-config`). `make gallery` draws this
page anew ([examples/gallery.py](../examples/gallery.py)); the whole slice, before and after each task, is shown with
[the five tasks](tasks.md).
"""
# name, heading, text, tasks: what other methods brought
FURTHER = (
    (
        "further-borrowed",
        "Further tasks: tissue or texture from elsewhere",
        "The [further tasks](tasks.md#beyond-the-papers-five), but in this one region in place of their own: "
        "interpolation with the same place of the other slice, plain and in the gradients; a part of the same slice, "
        "of the other slice, and a texture.",
        ("fpi", "pii", "cutpaste", "nsa", "perlin_texture"),
    ),
    (
        "further-changed",
        "Further tasks: values changed where they are",
        "Erased; brighter or darker throughout, or by noise; the content moved, or taken from the mirrored slice.",
        ("cutout", "uniform", "noise", "local_shift", "mirror"),
    ),
)

Picture = npt.NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Scene:
    """The slice, whose parts may be blended into it, and the region that it is changed in."""

    sample: Sample
    other: Sample
    region: Region


@dataclass(frozen=True, kw_only=True)
class Tile:
    """One picture (Y, X) and how it is shown."""

    values: Picture
    title: str = ""
    colours: str = GREYS
    limits: tuple[float, float] = (-2.5, 2.0)


@dataclass(frozen=True, kw_only=True)
class Strip:
    """One part of the page: pictures side by side for several values of one setting."""

    name: str
    heading: str
    text: str
    made: dict[str, tuple[Picture, Picture]] = field(default_factory=dict)  # caption -> (picture, label)
    labels: bool = False  # show them below, in place of the change


def scene(spacing: int = 1) -> Scene:
    """The slice at 1 mm, or at every so many mm."""
    from nilearn.datasets import load_mni152_template

    values = np.asarray(load_mni152_template(resolution=1).dataobj, dtype=np.float64)
    inside = (values[:, :, HEIGHT] > 0).T[::-1]
    rows, columns = (np.flatnonzero(inside.any(axis=axis)) for axis in (1, 0))
    frame = slice(rows[0] - 4, rows[-1] + 5, spacing), slice(columns[0] - 4, columns[-1] + 5, spacing)
    sample = _slice(values[:, :, HEIGHT], frame, spacing, "slice")
    other = _slice(values[::-1, :, DONOR_HEIGHT], frame, spacing, "other")
    return Scene(sample=sample, other=other, region=region_of(sample, share=0.24))


def _slice(values: npt.NDArray[np.float64], frame: tuple[slice, slice], spacing: int, name: str) -> Sample:
    smooth = ndimage.gaussian_filter(values, 0.4 * (spacing - 1))
    image, brain = smooth.T[::-1][frame], (values.T[::-1] > 0)[frame]
    normal = np.where(brain, (image - image[brain].mean()) / image[brain].std(), -2.5)
    return Sample.from_array(normal[None].copy(), brain.copy(), spacing=(spacing, spacing), id=name)


def region_of(
    sample: Sample, *, share: float, kind: str = "ellipsoid", turn: float = 0.6, shear: float = 0.0
) -> Region:
    """A region on the left of the slice, its longer side this share of the image's width."""
    tall, wide = sample.shape
    cos, sin = np.cos(turn), np.sin(turn)
    matrix = np.array([[cos, -sin], [sin, cos]]) @ np.array([[1.0, shear], [0.0, 1.0]])
    size = (round(share * wide), round(0.7 * share * wide))
    return Region.from_geometry(Geometry(kind, size, matrix, (round(0.44 * tall), round(0.3 * wide))), sample.shape)


def changed(
    at: Scene,
    task: tasks.AbstractTask,
    *,
    donor: Sample | None = None,
    region: Region | None = None,
    labeller: FlippedGaussian | None = None,
) -> tuple[Picture, Picture]:
    """The slice after one anomaly, and its label."""
    where = region or at.region
    params = task.sample_params(np.random.default_rng(SEED), at.sample, where, donor)
    before = at.sample.image
    after = task.apply(before, where, params, donor)
    touched = np.zeros(at.sample.shape, dtype=bool)
    box = (slice(None), *where.slices)
    touched[where.slices] = task.touched(before[box], after[box], where, params)
    return after[0], (labeller or FlippedGaussian())(before, after, touched)


def strips(at: Scene) -> Iterator[Strip]:
    """The parts of the page, those of further tasks last but one."""
    yield Strip(
        name="size",
        heading="Size",
        text="`ShapeSettings(smallest, largest)` bound the widths, as shares of the image's sides.",
        made={
            f"{share:g} of the width": changed(at, tasks.SmoothIntensity(), region=region_of(at.sample, share=share))
            for share in (0.08, 0.16, 0.24, 0.36)
        },
    )
    yield Strip(
        name="shape",
        heading="Shape",
        text="Ellipsoids and cuboids, turned and sheared; `ShapeSettings(shear)` says how much.",
        made={
            name: changed(at, tasks.SmoothIntensity(), region=region_of(at.sample, share=0.24, **form))
            for name, form in {
                "ellipsoid": {},
                "sheared": {"shear": 0.6},
                "cuboid": {"kind": "cuboid"},
                "cuboid, sheared": {"kind": "cuboid", "shear": 0.6},
            }.items()
        },
    )
    yield Strip(
        name="smooth_intensity-scale",
        heading="`smooth_intensity`: `scale`",
        text="The size of the change, in units of the image: standard deviations of the brain here.",
        made={f"scale = {v:g}": changed(at, tasks.SmoothIntensity(scale=v)) for v in (0.05, 0.1, 0.2, 0.4)},
    )
    yield Strip(
        name="smooth_intensity-ramp",
        heading="`smooth_intensity`: `ramp_offset`",
        text="How far the change takes from the edge to its full strength, as a share of the image's shortest side.",
        made={
            f"ramp_offset = {v:g}": changed(at, tasks.SmoothIntensity(ramp_offset=v)) for v in (0.001, 0.02, 0.06, 0.12)
        },
    )
    for cls in (tasks.Sink, tasks.Source):
        yield Strip(
            name=f"{cls.name}-push",
            heading=f"`{cls.name}`: `push`",
            text="How far intensities are pushed at most, in voxels; the centre is the same.",
            made={f"push = ({v}, {v})": changed(at, cls(push=(v, v))) for v in (1, 2, 4, 8)},
        )
    yield Strip(
        name="intra_blend-mixed",
        heading="`intra_blend`: `mixed` and `patch`",
        text="A patch of the other slice. With `mixed=True` the target's own edges stay where they are stronger; "
        "`PatchSettings(scale, largest_angle)` say how it is enlarged or shrunk, and turned.",
        made={
            name: changed(at, tasks.IntraBlend(mixed=mixed, patch=patch), donor=at.other)
            for name, mixed, patch in (
                ("mixed = True", True, PatchSettings()),
                ("mixed = False", False, PatchSettings()),
                ("largest_angle = 0", False, PatchSettings(largest_angle=0.0)),
                ("scale = 1", False, PatchSettings(scale=1.0)),
            )
        },
    )
    yield Strip(
        name="inter_blend-deviation",
        heading="`inter_blend`: `TextureDonors(deviation)`",
        text="What is blended in where no external images are given: procedural textures, of this standard deviation.",
        made={
            f"deviation = {v:g}": changed(
                at, tasks.InterBlend(), donor=TextureDonors(shape=at.sample.shape, total=1, deviation=v)[0]
            )
            for v in (0.25, 0.5, 1, 2)
        },
    )
    yield from further_strips(at)
    yield Strip(
        name="label-sigma",
        heading="Label: `FlippedGaussian(sigma)`",
        text="One change, labelled four times: sigma is the change that counts 0.39.",
        made={
            f"sigma = {v:g}": changed(at, tasks.IntraBlend(), donor=at.other, labeller=FlippedGaussian(sigma=v))
            for v in (0.05, 0.1, 0.2, 0.8)
        },
        labels=True,
    )


def further_strips(at: Scene) -> Iterator[Strip]:
    """The tasks that other methods brought, each in the one region."""
    texture = TextureDonors(shape=at.sample.shape, total=1)[0]
    donors = {"other_subject": at.other, "external": texture}
    for name, heading, text, members in FURTHER:
        made = {task: changed(at, tasks.TASKS[task](), donor=donors.get(tasks.TASKS[task].donor)) for task in members}
        yield Strip(name=name, heading=heading, text=text, made=made)


def drawn(rows: Sequence[Sequence[Tile]]) -> bytes:
    """Tiles of one shape in rows, as a PNG; titles stand above the first row."""
    tall, wide = rows[0][0].values.shape
    tile = (TILE, TILE * tall / wide)
    width, height = len(rows[0]) * tile[0], TITLE + len(rows) * tile[1]
    figure = Figure(figsize=(width, height), dpi=RESOLUTION)
    canvas: Any = FigureCanvasAgg(figure)  # draws without a display
    for down, row in enumerate(rows):
        for across, shown in enumerate(row):
            left, bottom = across * tile[0] + 0.02, height - TITLE - (down + 1) * tile[1] + 0.02
            axis = figure.add_axes((left / width, bottom / height, (tile[0] - 0.04) / width, (tile[1] - 0.04) / height))
            axis.imshow(shown.values, cmap=shown.colours, vmin=shown.limits[0], vmax=shown.limits[1])
            axis.set_axis_off()
            if down == 0:
                axis.set_title(shown.title, fontsize=8, pad=2)
    canvas.draw()
    return palette_png(np.asarray(canvas.buffer_rgba())[..., :3], _palette())


def _palette() -> npt.NDArray[np.uint8]:
    greys = [(v, v, v) for v in np.linspace(0, 1, 96)]
    colours = [colormaps[name](v)[:3] for name in (CHANGES, LABELS) for v in np.linspace(0, 1, 80)]
    return np.asarray(np.rint(255 * np.array(greys + colours)), dtype=np.uint8)


def _window(at: Scene) -> tuple[slice, slice]:
    """The square around the region that the strips show, as far as the image goes."""
    side = round(0.5 * at.sample.shape[1])
    middle = [c + n // 2 for c, n in zip(at.region.corner, at.region.size, strict=True)]
    starts = [min(max(0, m - side // 2), n - side) for m, n in zip(middle, at.sample.shape, strict=True)]
    return slice(starts[0], starts[0] + side), slice(starts[1], starts[1] + side)


def _difference(at: Scene, after: Picture, title: str = "") -> Tile:
    return Tile(values=after - at.sample.image[0], title=title, colours=CHANGES, limits=(-2.0, 2.0))


def strip_picture(at: Scene, strip: Strip) -> bytes:
    """The pictures of one part of the page, cut to what is around the region."""
    part = _window(at)
    above = [Tile(values=after[part], title=name) for name, (after, _) in strip.made.items()]
    label = {"colours": LABELS, "limits": (0.0, 1.0)}
    below = [
        Tile(values=label_map[part], **label) if strip.labels else _cut(_difference(at, after), part)
        for after, label_map in strip.made.values()
    ]
    return drawn([above, below])


def _cut(tile: Tile, part: tuple[slice, slice]) -> Tile:
    return Tile(values=tile.values[part], title=tile.title, colours=tile.colours, limits=tile.limits)


def task_pictures(at: Scene) -> Iterator[tuple[str, bytes]]:
    """The whole slice before and after each task, the change and the label."""
    texture = TextureDonors(shape=at.sample.shape, total=1)[0]
    donors = {"intra_blend": at.other, "inter_blend": texture}
    for name in tasks.PAPER_TASKS:
        cls = tasks.TASKS[name]
        after, label = changed(at, cls(), donor=donors.get(name))
        yield (
            name,
            drawn(
                [
                    [
                        Tile(values=at.sample.image[0], title="before"),
                        Tile(values=after, title="after"),
                        _difference(at, after, "difference"),
                        Tile(values=label, title="label", colours=LABELS, limits=(0.0, 1.0)),
                    ]
                ]
            ),
        )


def write(out: Path, spacing: int = 1) -> None:
    """Write `gallery.md` and its pictures, in `gallery/`."""
    at = scene(spacing)
    folder = out / "gallery"
    folder.mkdir(parents=True, exist_ok=True)
    page = [PAGE]
    for strip in strips(at):
        (folder / f"{strip.name}.png").write_bytes(strip_picture(at, strip))
        plain = strip.heading.replace("`", "")
        page.append(
            f"## {strip.heading}\n\n{strip.text}\n\n![{plain}: {', '.join(strip.made)}](gallery/{strip.name}.png)\n"
        )
    for name, content in task_pictures(at):
        (folder / f"{name}.png").write_bytes(content)
    (out / "gallery.md").write_text("\n".join(page), encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder for gallery.md and gallery/")
    parser.add_argument("--spacing", type=int, default=1, help="mm from voxel to voxel: more is smaller and faster")
    settings = parser.parse_args()
    write(settings.out, settings.spacing)


if __name__ == "__main__":
    main()
