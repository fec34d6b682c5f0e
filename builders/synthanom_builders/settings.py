"""What a build was asked for, checked before any work."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from synthanom.errors import SynthanomError
from synthanom.labels import AbstractLabeller, FlippedGaussian, labeller_from
from synthanom.nearest import meant
from synthanom.preprocess import Resample
from synthanom.preprocess.grids import check_shape
from synthanom.preprocess.pipeline import Normalise
from synthanom.recipe import SynthesisOptions
from synthanom.settings_file import read_settings
from synthanom.shards.codecs import DEFAULT, check_codec
from synthanom.tasks import PAPER_TASKS, TASKS
from synthanom.tasks.abstract import AbstractTask, settings_of
from synthanom.volumes.reading import AS_STORED, Reading

AUTO, PLAIN = "auto", "plain"
LAYOUTS = (AUTO, PLAIN, "bids", "nnunet", "anomalib")
MASKS, BOXES = "masks", "boxes"  # what ``--within`` may name
NORMALISATIONS: tuple[Normalise, ...] = ("auto", "zscore", "minus-one-one", "none")


@dataclass(frozen=True, kw_only=True)
class BuildSettings:
    """Settings of a build.

    Attributes
    ----------
    variants : int
        Anomalous pictures per image and task.
    seed : int
    tasks : tuple of AbstractTask
        With their settings, in the order of `TASKS`.
    labeller : AbstractLabeller
    options : SynthesisOptions
    normalise : {"auto", "zscore", "minus-one-one", "none"}
    spacing : float, tuple of floats, or None
        Voxel size to resample to, mm.
    shape : tuple of ints or None
        Spatial shape of every image.
    foreground : str
        ``"auto"``, a rule, or the pattern of mask files.
    channels, subjects : str or None
        See `synthanom.volumes.contrasts.grouped` and `subjects.with_subjects`.
    folds : int
    donors : Path or None
        Folder of the data set that `inter_blend` borrows from.
    dataset : str or None
        Name of a data set whose files and steps are known; None for `folder`.
    split : Path or None
        File that names the images to take, for data sets that have such.
    contrasts : tuple of str
        To take as channels, in this order, for data sets that have several; empty for the others.
    reading : Reading
        What is read beyond grey, complete images.
    codec : str
        How shards are compressed.
    layout : {"auto", "plain", "bids", "nnunet", "anomalib"}
        Of the raw folder; not part of the plan, which lists what follows from it.
    within : str or None
        Where anomalies may lie: pattern of mask files, or path of a table or a folder of boxes. The plan lists masks
        and boxes with the cases.
    """

    variants: int = 10
    seed: int = 0
    tasks: tuple[AbstractTask, ...] = field(default_factory=lambda: tuple(TASKS[name]() for name in PAPER_TASKS))
    labeller: AbstractLabeller = field(default_factory=FlippedGaussian)
    options: SynthesisOptions = field(default_factory=SynthesisOptions)
    normalise: Normalise = "auto"
    spacing: tuple[float, ...] | float | None = None
    shape: tuple[int, ...] | None = None
    foreground: str = "auto"
    channels: str | None = None
    subjects: str | None = None
    folds: int = len(PAPER_TASKS)
    donors: Path | None = None
    dataset: str | None = None
    split: Path | None = None
    contrasts: tuple[str, ...] = ()
    reading: Reading = AS_STORED
    codec: str = DEFAULT
    layout: str = AUTO
    within: str | None = None

    def __post_init__(self) -> None:
        if self.variants < 1:
            raise SynthanomError(f"--variants must be at least 1, got {self.variants}")
        if self.folds < 1:
            raise SynthanomError(f"--folds must be at least 1, got {self.folds}")
        chosen_normalisation(self.normalise)
        check_codec(self.codec)
        if self.layout not in LAYOUTS:
            near = meant(self.layout, LAYOUTS)
            raise SynthanomError(f"--layout must be one of {', '.join(LAYOUTS)}, got {self.layout!r}{near}")
        if self.spacing is not None:
            Resample(spacing=self.spacing)  # checks it
        if self.shape is not None:
            check_shape(self.shape, "--shape")
        if self.options.inside_only and self.within is None:
            raise SynthanomError(
                "options.inside_only undoes changes outside of --within, got no --within; give one, or leave it out"
            )

    def to_json(self) -> dict[str, Any]:
        """What the result depends on, as JSON; the subjects and donors are part of the plan, not of this."""
        return {
            "variants": self.variants,
            "seed": self.seed,
            "tasks": [{"name": task.name, "settings": task.to_dict()} for task in self.tasks],
            "labeller": self.labeller.to_dict(),
            "options": self.options.to_dict(),
            "normalise": self.normalise,
            "spacing": list(self.spacing) if isinstance(self.spacing, tuple) else self.spacing,
            "shape": None if self.shape is None else list(self.shape),
            "foreground": self.foreground,
            "channels": self.channels,
            "folds": self.folds,
            **({} if self.dataset is None else {"dataset": self.dataset}),
            **({"contrasts": list(self.contrasts)} if self.contrasts else {}),
            **({} if self.split is None else {"split": hashlib.sha256(self.split.read_bytes()).hexdigest()}),
            **({} if self.codec == DEFAULT else {"codec": self.codec}),
            **({"reading": self.reading.to_dict()} if self.reading != AS_STORED else {}),
            **({} if self.within is None else {"within": prior_kind(self.within)}),
        }


def prior_kind(within: str) -> str:
    """Whether ``--within`` names boxes (a .csv file or a folder) or is a pattern of masks."""
    return BOXES if within.lower().endswith(".csv") or Path(within).is_dir() else MASKS


@dataclass(frozen=True, kw_only=True)
class TaskConfig:
    """What a task configuration file says."""

    tasks: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    labeller: AbstractLabeller = field(default_factory=FlippedGaussian)
    options: SynthesisOptions = field(default_factory=SynthesisOptions)


def chosen_config(path: Path | None, label: str | None) -> TaskConfig:
    """What ``--task-config`` and ``--label`` say together.

    Raises
    ------
    SynthanomError
        As `read_task_config`, or for a name of a label that does not exist.
    """
    if path is not None:
        return read_task_config(path, label)
    return TaskConfig() if label is None else TaskConfig(labeller=labeller_from({"name": label}))


def read_task_config(path: Path, label: str | None = None) -> TaskConfig:
    """Read a YAML file that maps stored task names to their settings, ``label`` and ``options`` likewise.

    The label is the one that the file names, or `label` where it names none, or the flipped Gaussian.

    Raises
    ------
    SynthanomError
        If it cannot be read, names a task, label or setting that does not exist, or another label than `label`, or a
        setting has a wrong value; with the path of the key.
    """
    content = read_settings(path)
    known = (*TASKS, "label", "options")
    try:
        for name, value in content.items():
            if name not in known:
                hint = meant(name, known) or f"; it may have {', '.join(known)}"
                raise SynthanomError(f"has an unknown entry {name!r}{hint}")
            if not isinstance(value, dict):
                raise SynthanomError(f"{name}: must be a mapping of settings, got {value!r}")
        for name in TASKS:
            TASKS[name].from_dict(content.get(name, {}))
        labeller = _labeller(content.get("label", {}), label)
        options: SynthesisOptions = settings_of(SynthesisOptions, content.get("options", {}), "options")
    except SynthanomError as error:
        raise SynthanomError(f"{path}: {error}") from error
    return TaskConfig(
        tasks={name: content[name] for name in TASKS if name in content}, labeller=labeller, options=options
    )


def _labeller(given: Mapping[str, Any], asked: str | None) -> AbstractLabeller:
    """The labeller of a file's entry ``label`` and of ``--label``."""
    settings = {name: value for name, value in given.items() if name != "name"}
    named = labeller_from({"name": given.get("name", asked or FlippedGaussian.name)})
    if asked not in (None, named.name):
        raise SynthanomError(f"--label must be {named.name}, which it names, got {asked!r}")
    labeller: AbstractLabeller = settings_of(type(named), settings, "label")
    return labeller


def chosen_tasks(names: str | None, config: TaskConfig) -> tuple[AbstractTask, ...]:
    """The tasks of a comma-separated list of names (the paper's if None), with their settings, in the order of `TASKS`.

    Raises
    ------
    SynthanomError
        For a name that does not exist or is given twice.
    """
    wanted = list(PAPER_TASKS) if names is None else [name.strip() for name in names.split(",")]
    for name in wanted:
        if name not in TASKS or wanted.count(name) > 1:
            near = "" if name in TASKS else meant(name, TASKS) or f"; there are {', '.join(TASKS)}"
            raise SynthanomError(f"--tasks must list tasks, each once, got {names!r}{near}")
    return tuple(TASKS[name].from_dict(config.tasks.get(name, {})) for name in TASKS if name in wanted)


def numbers(text: str | None, option: str) -> tuple[float, ...] | None:
    """Comma-separated numbers of an option.

    Raises
    ------
    SynthanomError
    """
    if text is None:
        return None
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError as error:
        raise SynthanomError(f"{option} must be numbers with commas between, such as 1,1,1, got {text!r}") from error


def chosen_normalisation(name: str | None) -> Normalise:
    """The value of ``--normalise``.

    Raises
    ------
    SynthanomError
    """
    for known in NORMALISATIONS:
        if known == (name or "auto"):
            return known
    near = meant(name, NORMALISATIONS)
    raise SynthanomError(f"--normalise must be zscore, minus-one-one or none, got {name!r}{near}")


def check_split(name: str, known: str, asked: str | None, file: Path | None) -> None:
    """Refuse a split of another name than the data set's, or without a file.

    Raises
    ------
    SynthanomError
    """
    if asked is None and file is None:
        return
    if not known:
        raise SynthanomError(f"--split-file must name the split of a data set that has one, got it for {name}")
    if asked not in (None, known):
        raise SynthanomError(f"--split must be {known} for {name}, got {asked!r}{meant(asked, (known,))}")
    if file is None or not file.is_file():
        got = "none" if file is None else f"no file {file}"
        raise SynthanomError(f"--split {known} needs its --split-file, got {got}; builders/README.md says where it is")


def check_within(name: str, within: str | None) -> None:
    """Refuse a pattern of masks for a data set that knows its files itself.

    Raises
    ------
    SynthanomError
    """
    if within is not None and prior_kind(within) != BOXES:
        raise SynthanomError(
            f"--within must be a table of boxes (.csv) or a folder of text files of boxes for {name}, got {within!r}; "
            "check the path"
        )


def check_subjects(name: str, takes_subjects: bool, asked: str | None) -> None:
    """Refuse a rule for the subjects of a data set that names them itself.

    Raises
    ------
    SynthanomError
    """
    if asked is not None and not takes_subjects:
        raise SynthanomError(f"--subjects must be left out for {name}, whose subjects are settled, got {asked!r}")


def chosen_contrasts(text: str | None, known: tuple[str, ...], usual: tuple[str, ...]) -> tuple[str, ...]:
    """The value of ``--contrasts``, spelled as the data set spells them; `usual` where nothing was asked for.

    Raises
    ------
    SynthanomError
        For a contrast that the data set does not have, or that is named twice.
    """
    if text is None:
        return usual
    spelled = {name.lower(): name for name in known}
    asked = [name.strip().lower() for name in text.split(",")]
    if not known or not set(asked) <= set(spelled) or len(set(asked)) < len(asked):
        choice = f"some of {', '.join(known)}, each once" if known else "left out: this data set has one only"
        odd = next((name for name in asked if name not in spelled), "")
        raise SynthanomError(f"--contrasts must be {choice}, got {text!r}{meant(odd, known)}")
    return tuple(spelled[name] for name in asked)


def spacing_option(text: str | None) -> tuple[float, ...] | float | None:
    """The value of ``--spacing``: one voxel size for all axes, or one per axis."""
    values = numbers(text, "--spacing")
    return values[0] if values is not None and len(values) == 1 else values


def shape_option(text: str | None) -> tuple[int, ...] | None:
    """The value of ``--shape``: a whole number of voxels per axis."""
    values = numbers(text, "--shape")
    if values is None:
        return None
    if not all(value.is_integer() for value in values):
        raise SynthanomError(f"--shape must be whole numbers of voxels, got {text!r}")
    return tuple(int(value) for value in values)
