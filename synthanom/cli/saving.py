"""Writing what commands make, without overwriting what they did not make."""

import json
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from synthanom.arrays import ImageArray
from synthanom.errors import SynthanomError
from synthanom.manifest import replaced_file
from synthanom.pictures import is_our_picture
from synthanom.sample import Sample
from synthanom.volumes import write_picture, write_volume
from synthanom.volumes.write import write_bytes

if TYPE_CHECKING:
    from synthanom.synthesis import Result

HEAD = 256  # bytes by which a file of ours is known


def check_picture(out: Path, source: Path) -> None:
    """Refuse, before any work, to write a picture where something else is.

    Raises
    ------
    SynthanomError
    """
    if out.suffix.lower() != ".png":
        raise SynthanomError(f"{out}: the picture is a PNG; end --out in .png")
    _check_file(out, source, is_our_picture, "a picture that synthanom did not draw")


def check_report(out: Path, source: Path) -> None:
    """Refuse, before any work, to write a report where something else is.

    Raises
    ------
    SynthanomError
    """
    from synthanom.report import is_our_report

    if out.suffix.lower() not in (".html", ".htm"):
        raise SynthanomError(f"{out}: the report is one HTML file; end --out in .html")
    _check_file(out, source, is_our_report, "something that is no report of synthanom")


def _check_file(out: Path, source: Path, is_ours: Callable[[bytes], bool], otherwise: str) -> None:
    if out.resolve() == source.resolve():
        raise SynthanomError(f"{out}: is the input; name another --out")
    if not out.exists():
        return
    if not out.is_file():
        raise SynthanomError(f"{out}: is a folder; name a file with --out")
    with out.open("rb") as stream:
        if not is_ours(stream.read(HEAD)):
            raise SynthanomError(f"{out}: holds {otherwise}; name another --out")


def save_picture(out: Path, content: bytes) -> None:
    """Write a picture or a report, whole or not at all.

    Raises
    ------
    SynthanomError
        If it cannot be written.
    """
    with replaced_file(out) as file:
        file.write(content)


def check_json(out: Path, kind: str) -> None:
    """Refuse, before any work, to write JSON of this `kind` where something else is.

    Raises
    ------
    SynthanomError
    """
    if not out.exists():
        return
    try:
        content = json.loads(out.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        content = None
    if not isinstance(content, dict) or content.get("kind") != kind:
        raise SynthanomError(f"{out}: holds something else; name another --out")


def save_json(out: Path, content: dict[str, Any]) -> None:
    """Write JSON for people to read, whole or not at all.

    Raises
    ------
    SynthanomError
        If it cannot be written.
    """
    with replaced_file(out) as file:
        file.write(json.dumps(content, indent=1, sort_keys=True, allow_nan=False).encode() + b"\n")


def save_recipe(data: Path, recipe: Path, out: Path, *, donors: Sequence[Path] = ()) -> tuple[Path, ...]:
    """As `save_row`, of the picture that a file with a recipe describes.

    Raises
    ------
    SynthanomError
        As `save_row`, or no recipe in the file.
    """
    from synthanom.recipe import Recipe
    from synthanom.replaying import replay_recipe, row_of_sample
    from synthanom.shards import DataSet

    _split(out)
    try:
        asked = Recipe.from_json(recipe.read_bytes())
    except (OSError, SynthanomError) as error:
        raise SynthanomError(f"{recipe}: must be a file with one recipe, got: {error}; name another") from error
    with DataSet.open(data) as opened:
        sample = opened.healthy(row_of_sample(opened, asked))
    _check_suits(out, sample)
    return _save(replay_recipe(data, asked, donors), sample, out)


def save_row(data: Path, task: str, row: int, out: Path, *, donors: Sequence[Path] = ()) -> tuple[Path, ...]:
    """Make a stored picture again and write it and its label; the paths written.

    NIfTI keeps the values and the affine, one file per channel where there are several. PNG is for 2D images of one
    channel; the healthy image's range becomes black to white.

    Raises
    ------
    SynthanomError
        If the row cannot be made, `out` does not suit it, or another file has one of the names.
    """
    from synthanom.replaying import replay_row
    from synthanom.shards import DataSet

    _split(out)
    with DataSet.open(data) as opened:
        sample = opened.healthy(opened.anomaly(task, row).healthy_index)
    _check_suits(out, sample)
    return _save(replay_row(data, task, row, donors), sample, out)


def _check_suits(out: Path, sample: Sample) -> None:
    _, suffix = _split(out)
    if suffix.lower() == ".png" and (len(sample.shape) != 2 or sample.image.shape[0] != 1):
        raise SynthanomError(
            f"{out}: PNG holds one channel of a 2D image, this is {sample.image.shape}; end --out in .nii.gz"
        )


def _save(made: "Result", sample: Sample, out: Path) -> tuple[Path, ...]:
    stem, suffix = _split(out)
    several = len(made.image) > 1
    arrays = {f"{stem}{f'_channel{c}' if several else ''}": channel for c, channel in enumerate(made.image)}
    arrays[f"{stem}_label"] = made.label
    return _write_all(out.parent, suffix, arrays, sample)


def _split(out: Path) -> tuple[str, str]:
    for suffix in (".nii.gz", ".nii", ".png"):
        if out.name.lower().endswith(suffix) and len(out.name) > len(suffix):
            return out.name[: -len(suffix)], out.name[-len(suffix) :]
    raise SynthanomError(f"{out}: a file name that ends in .nii.gz, .nii or .png is needed")


def _write_all(folder: Path, suffix: str, arrays: dict[str, ImageArray], sample: Sample) -> tuple[Path, ...]:
    """Write all of them first under temporary names; refuse if a name is taken by a file of other content."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = tuple(folder / f"{name}{suffix}" for name in arrays)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".replay-") as temporary:
        contents = []
        for path, array in zip(paths, arrays.values(), strict=True):
            draft = Path(temporary) / path.name
            if suffix.lower() == ".png":
                low, high = sample.limits[:, 0] if "_label" not in path.name else (0.0, 1.0)
                write_picture(draft, np.clip((array - low) / (high - low), 0, 1))
            else:
                write_volume(draft, array, sample.affine, sample.spacing)
            contents.append(draft.read_bytes())
        for path, content in zip(paths, contents, strict=True):
            if path.exists() and (not path.is_file() or path.read_bytes() != content):
                raise SynthanomError(f"{path}: holds something else; name another --out or delete it")
        for path, content in zip(paths, contents, strict=True):
            write_bytes(path, content)
    return paths
