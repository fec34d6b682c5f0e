"""Which scans to score: files, series, or several contrasts per case."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from synthanom.arrays import ImageArray
from synthanom.errors import SynthanomError
from synthanom.preprocess import Pipeline, Prepared, align
from synthanom.training.checkpoint import ModelCard
from synthanom.volumes import Source, Volume, discover, read
from synthanom.volumes.discover import EXTENSIONS

SEPARATORS = "_-. "


@dataclass(frozen=True, kw_only=True)
class Scan:
    """One case: its id and its contrasts in channel order; `problem` says why it cannot be read."""

    id: str
    sources: tuple[Source, ...]
    problem: str = ""

    @property
    def path(self) -> Path:
        """What to call it."""
        return self.sources[0].path


@dataclass(frozen=True, kw_only=True, eq=False)
class Ready:
    """A scan as the model sees it, with what is needed to put its map back."""

    scan: Scan
    volume: Volume
    prepared: Prepared

    @property
    def image(self) -> ImageArray:
        """(C, *S), float32."""
        return self.prepared.image


def find_scans(given: Path, channels: int, pattern: str | None) -> list[Scan]:
    """The scans of a folder, in the order of their ids, or the one that a path names.

    Parameters
    ----------
    given : path of a folder, a file, or a folder that holds one DICOM series
    channels : number of channels of the model
    pattern : regular expression whose first group captures the contrast, as `build-dataset --channels` takes it; for a
        model of one channel it picks the files to score

    Raises
    ------
    SynthanomError
        Nothing there, a model of several channels without a pattern, or a pattern that does not fit the files.
    """
    if channels > 1 and pattern is None:
        raise SynthanomError(
            f"the model takes {channels} contrasts as channels; say which part of a path names the contrast with "
            "--channels, as when the data set was built, for example --channels '_(T1|T2)\\.nii'"
        )
    if given.is_dir():
        sources, root = discover(given), given
    else:
        sources, root = [_single(given)], given.parent
    return _plain(sources) if pattern is None else _grouped(sources, root, pattern, channels)


def prepare(scan: Scan, pipeline: Pipeline, card: ModelCard) -> Ready:
    """Read a scan and run the model's preprocessing over it.

    Raises
    ------
    SynthanomError
        Naming the file: unreadable, NaN, constant, of other channels or axes than the model's.
    """
    if scan.problem:
        raise SynthanomError(f"{scan.path}: {scan.problem}")
    volume = align([read(source) for source in scan.sources])
    channels, dims = volume.image.shape[0], volume.image.ndim - 1
    if channels != card.channels or dims != len(card.shape):
        raise SynthanomError(
            f"{scan.path}: the model takes {card.channels} channels in {len(card.shape)}D, got {channels} in {dims}D; "
            "use a model that was trained on such scans"
        )
    return Ready(scan=scan, volume=volume, prepared=pipeline.prepare(volume))


def _single(path: Path) -> Source:
    from synthanom.volumes.discover import format_of

    if not path.is_file():
        raise SynthanomError(f"{path}: no such file or folder; check --input")
    kind = format_of(path)
    if kind is None:
        raise SynthanomError(f"{path}: not recognised as an image; NIfTI, DICOM, NRRD, MetaImage, PNG, JPEG are read")
    extension = next((e for e, _ in EXTENSIONS if path.name.lower().endswith(e)), "")
    return Source(id=path.name[: len(path.name) - len(extension)] or path.name, files=(path,), format=kind)


def _plain(sources: Sequence[Source]) -> list[Scan]:
    return [Scan(id=source.id, sources=(source,)) for source in sources]


def _grouped(sources: Sequence[Source], root: Path, pattern: str, channels: int) -> list[Scan]:
    """Scans whose paths agree in everything but the contrast; files that the pattern does not match are left out."""
    expression = _compiled(pattern)
    group: str | int = "contrast" if "contrast" in expression.groupindex else 1
    found: dict[str, dict[str, Source]] = {}
    for source in sources:
        path = source.path.relative_to(root).as_posix()
        match = expression.search(path)
        if match is None or match.group(group) is None:
            continue
        start, end = match.span(group)
        earlier = found.setdefault(f"{path[:start]}\0{path[end:]}", {}).setdefault(match.group(group), source)
        if earlier is not source:
            raise SynthanomError(f"{source.path} and {earlier.path} are one contrast of one case under {pattern!r}")
    contrasts = _ordered(pattern, {contrast for case in found.values() for contrast in case})
    if len(contrasts) != channels:
        raise SynthanomError(
            f"--channels {pattern!r} must find {channels} contrasts, as the model takes, in {root}; found "
            f"{len(contrasts)} ({', '.join(contrasts) or 'none'})"
        )
    if channels == 1:
        return _plain([case[contrasts[0]] for case in found.values()])
    return _cases(found, contrasts)


def _cases(found: dict[str, dict[str, Source]], contrasts: Sequence[str]) -> list[Scan]:
    scans = []
    for key, case in found.items():
        missing = [name for name in contrasts if name not in case]
        present = tuple(case[name] for name in contrasts if name in case)
        problem = f"contrast {', '.join(missing)} is missing; add the file" if missing else ""
        scans.append(Scan(id=_case_id(key), sources=present, problem=problem))
    ids = [scan.id for scan in scans]
    if len(set(ids)) != len(ids):
        scans = [Scan(id=scan.sources[0].id, sources=scan.sources, problem=scan.problem) for scan in scans]
    return sorted(scans, key=lambda scan: scan.id)


def _case_id(key: str) -> str:
    """The path without the contrast, the separators around it and the extension."""
    before, after = key.split("\0")
    after = next((after[: -len(e)] for e, _ in EXTENSIONS if after.lower().endswith(e)), after)
    if after == "" or after[0] in "/" + SEPARATORS:
        before = before.rstrip(SEPARATORS)
    if before == "" or before.endswith("/"):
        after = after.lstrip("/" + SEPARATORS)
    return (before + after).rstrip("/") or "case"


def _compiled(pattern: str) -> re.Pattern[str]:
    try:
        expression = re.compile(pattern)
    except re.error as error:
        raise SynthanomError(f"--channels {pattern!r} must be a regular expression, got '{error}'") from error
    if expression.groups < 1:
        raise SynthanomError(
            f"--channels {pattern!r} must have a group that captures the contrast, got none; "
            "for example --channels '_(T1|T2)\\.nii'"
        )
    return expression


def _ordered(pattern: str, shown: set[str]) -> tuple[str, ...]:
    """The contrasts in the order of the group's alternatives where those are plain words, else sorted."""
    body = re.search(r"\(\?P<contrast>([^()]*)\)", pattern) or re.search(r"\((?!\?)([^()]*)\)", pattern)
    words = [] if body is None else body[1].split("|")
    if words and shown <= set(words):
        return tuple(word for word in dict.fromkeys(words) if word in shown)
    return tuple(sorted(shown))
