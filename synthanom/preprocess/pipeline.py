"""Running steps over a scan, putting maps back on its own grid, and steps as JSON."""

import dataclasses
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Literal

import numpy as np

from synthanom.arrays import ImageArray, MaskArray, check_mask
from synthanom.errors import SynthanomError
from synthanom.nearest import meant
from synthanom.preprocess.framing import CropBorder, FrameForeground, PadToMultiple, Square
from synthanom.preprocess.grey_values import EqualiseHistogram, Invert, Window
from synthanom.preprocess.grids import Canonical, CropToForeground, FitShape
from synthanom.preprocess.intensities import Foreground, ForegroundFromCorners, MinusOneOne, Rule, ZScore
from synthanom.preprocess.resampling import Resample, ResizePicture
from synthanom.preprocess.scaling import EdgePreservingResample, Rescale
from synthanom.preprocess.state import Prepared, State, Trace
from synthanom.preprocess.step import AbstractStep
from synthanom.sample import MIN_SIDE
from synthanom.volumes.volume import Kind, Volume

FORMAT = 1
STEPS: Mapping[str, type[AbstractStep]] = MappingProxyType(
    {
        step.name: step
        for step in (
            Canonical,
            Resample,
            Foreground,
            CropToForeground,
            ResizePicture,
            FitShape,
            ZScore,
            MinusOneOne,
            ForegroundFromCorners,
            CropBorder,
            Square,
            PadToMultiple,
            EdgePreservingResample,
            Rescale,
            Window,
            EqualiseHistogram,
            Invert,
            FrameForeground,
        )
    }
)
Normalise = Literal["auto", "zscore", "minus-one-one", "none"]


@dataclasses.dataclass(frozen=True)
class Pipeline:
    """Steps in order: data, so that a model or a data set can carry them.

    Attributes
    ----------
    steps : tuple of steps
    """

    steps: tuple[AbstractStep, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "steps", tuple(self.steps))

    def prepare(self, volume: Volume, mask: MaskArray | None = None, within: MaskArray | None = None) -> Prepared:
        """Run every step over a scan; several contrasts come stacked by `align`.

        Parameters
        ----------
        volume : Volume
            Left as it is.
        mask : ndarray of shape (*S), bool, optional
            The foreground on the scan's own grid; counts instead of the `Foreground` rule.
        within : ndarray of shape (*S), bool, optional
            A location prior on the scan's own grid.

        Raises
        ------
        SynthanomError
            Naming the scan: NaN or infinity, constant, under 12 voxels on a side, an empty foreground, padding that
            more than doubles the voxels, no known voxel size to resample from.
        """
        name = str(volume.path)
        _check_values(volume)
        shape = volume.image.shape[1:]
        if mask is not None:
            check_mask(mask, shape, name=f"{name}: its mask")
        if within is not None:
            check_mask(within, shape, name=f"{name}: its location prior")
        state = State(
            image=volume.image,
            foreground=np.ones(shape, dtype=bool) if mask is None else mask.copy(),
            affine=volume.affine,
            spacing=volume.spacing,
            given=mask is not None,
            name=name,
            within=within,
        )
        trace = []
        for step in self.steps:
            state, entry = step.forward(state)
            trace.append({"step": step.name, **entry, "to": list(state.shape)})
        if min(state.shape) < MIN_SIDE:
            raise SynthanomError(
                f"{name}: every side must be at least {MIN_SIDE} voxels after preprocessing, got {state.shape} "
                f"from {shape}; resample to a finer spacing or leave the case out"
            )
        return _prepared(state, tuple(trace))

    def restore(self, score_map: ImageArray, prepared: Prepared | Trace, order: int = 1) -> ImageArray:
        """Put a map on the prepared grid back on the scan's own grid and axis order.

        Parameters
        ----------
        score_map, prepared, order
            As for the function `restore`.
        """
        return restore(score_map, prepared, order)

    def to_dict(self) -> dict[str, Any]:
        """The steps as JSON."""
        return {"format": FORMAT, "steps": [{"name": step.name, **step.settings()} for step in self.steps]}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Pipeline":
        """The pipeline that `to_dict` stored.

        Raises
        ------
        SynthanomError
            Another format, an unknown step, a setting that is unknown, missing or out of range.
        """
        if data.get("format") != FORMAT or not isinstance(data.get("steps"), list):
            raise SynthanomError(
                f"preprocessing must be format {FORMAT} with a list of steps, got format {data.get('format')!r}; "
                "a newer synthanom may have written it: update"
            )
        return cls(tuple(_step(entry) for entry in data["steps"]))


def restore(score_map: ImageArray, prepared: Prepared | Trace, order: int = 1) -> ImageArray:
    """Put a map on the prepared grid back on the scan's own grid and axis order.

    Parameters
    ----------
    score_map : ndarray of shape (*S), float32
    prepared : Prepared, or its trace (also as read back from JSON)
    order : {0, 1, 3}
        How resampling is undone: nearest neighbour, linear, cubic.

    Returns
    -------
    ndarray of the raw spatial shape, float32
        0 where the model saw nothing.

    Raises
    ------
    SynthanomError
        If the map is not on the prepared grid.
    """
    trace = prepared.trace if isinstance(prepared, Prepared) else tuple(prepared)
    result = np.asarray(score_map, dtype=np.float32)
    if trace and tuple(result.shape) != tuple(trace[-1]["to"]):
        raise SynthanomError(
            f"the map must have the prepared image's shape {tuple(trace[-1]['to'])}, got {tuple(result.shape)}"
        )
    for entry in reversed(trace):
        result = _known(entry["step"]).inverse(result, entry, order)
    return np.ascontiguousarray(result, dtype=np.float32)


def default_pipeline(
    kind: Kind,
    shape: Sequence[int] | None = None,
    spacing: Sequence[float] | float | None = None,
    *,
    normalise: Normalise = "auto",
    foreground: Rule | Literal["auto"] = "auto",
) -> Pipeline:
    """The steps that suit volumes (z-scored over what is not 0) or pictures (scaled to [-1, 1]).

    Parameters
    ----------
    kind : {"volume", "picture"}
    shape : sequence of D ints, optional
        Volumes are cropped and padded to it, pictures are resized.
    spacing : float or sequence of D floats, optional
        Voxel size in mm, in axis order of the canonical image ([Z,] Y, X).
    normalise, foreground : str
        "auto" is z-score and nonzero for volumes, minus-one-one and none for pictures.

    Returns
    -------
    Pipeline

    Raises
    ------
    SynthanomError
        If a setting is unknown or out of range.
    """
    volume = kind == "volume"
    rule: Rule = ("nonzero" if volume else "none") if foreground == "auto" else foreground
    scaling = ("zscore" if volume else "minus-one-one") if normalise == "auto" else normalise
    if scaling not in ("zscore", "minus-one-one", "none"):
        raise SynthanomError(f"normalise must be auto, zscore, minus-one-one or none, got {normalise!r}")
    steps: list[AbstractStep] = [Canonical()] if volume else []
    if spacing is not None:
        steps.append(Resample(spacing=spacing if isinstance(spacing, int | float) else tuple(spacing)))
    if shape is not None and not volume:
        steps.append(ResizePicture(shape=tuple(shape)))
    steps.append(Foreground(rule=rule))
    if shape is not None and volume:
        steps.append(FitShape(shape=tuple(shape)))
    if scaling != "none":
        steps.append(ZScore() if scaling == "zscore" else MinusOneOne())
    return Pipeline(tuple(steps))


def _known(name: Any) -> type[AbstractStep]:
    if name not in STEPS:
        raise SynthanomError(
            f"preprocessing step {name!r} is unknown, known are {', '.join(STEPS)}; "
            f"a newer synthanom may have written it: update{meant(name, STEPS)}"
        )
    return STEPS[name]


def _step(entry: Any) -> AbstractStep:
    """One stored step, its settings checked by name here and by value in the step."""
    if not isinstance(entry, Mapping):
        raise SynthanomError(f"a preprocessing step must be an object with a name, got {entry!r}")
    kind = _known(entry.get("name"))
    given = {key: tuple(v) if isinstance(v, list) else v for key, v in entry.items() if key != "name"}
    fields = {field.name: field for field in dataclasses.fields(kind)}  # type: ignore[arg-type]
    missing = [n for n, f in fields.items() if f.default is dataclasses.MISSING and n not in given]
    unknown = sorted(set(given) - set(fields))
    if missing or unknown:
        raise SynthanomError(
            f"preprocessing step {kind.name!r} takes the settings {sorted(fields)}, "
            f"got unknown {unknown} and lacks {missing}; correct its entry"
        )
    return kind(**given)


def _check_values(volume: Volume) -> None:
    """Refuse NaN, infinity and constant channels before any work."""
    bad = int(np.count_nonzero(~np.isfinite(volume.image)))
    if bad:
        raise SynthanomError(
            f"{volume.path}: values must be finite in float32, got {bad} NaN or infinite of {volume.image.size}; "
            "replace them, for example with numpy.nan_to_num, or leave the case out"
        )
    for i, channel in enumerate(volume.image):
        if channel.min() == channel.max():
            raise SynthanomError(
                f"{volume.path}: the image must vary, channel {i} is constant ({channel.min():.4g}) everywhere; "
                "leave the case out or check its file"
            )


def _prepared(state: State, trace: Trace) -> Prepared:
    image = np.ascontiguousarray(state.image, dtype=np.float32)
    foreground = np.ascontiguousarray(state.foreground)
    image.flags.writeable = foreground.flags.writeable = False
    return Prepared(
        image=image,
        foreground=foreground,
        affine=state.affine,
        spacing=state.spacing,
        trace=trace,
        within=state.within,
    )
