"""What a task is: settings as a frozen dataclass, `sample_params` that draws, `change` and `apply` that do not."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, asdict, dataclass, field, fields, is_dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import numpy as np

from synthanom.arrays import ImageArray, MaskArray, as_numpy, back_to, check_image
from synthanom.errors import SynthanomError
from synthanom.nearest import meant
from synthanom.regions import AbstractShape, Region, ShapeSettings
from synthanom.sample import Sample

if TYPE_CHECKING:
    from synthanom.labels import AbstractLabeller

DonorKind = Literal["none", "other_subject", "external"]


@dataclass(frozen=True, kw_only=True)
class AbstractParams:
    """The drawn numbers of one anomaly; with the region and the donor they are all that `apply` needs."""

    @property
    def strength(self) -> float:
        """How much of the picture in the region is the anomaly's, in (0, 1]: what the label `Factor` shows."""
        return 1.0

    def to_dict(self) -> dict[str, Any]:
        """The numbers as JSON."""
        data: dict[str, Any] = _listed(asdict(self))
        return data

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """The numbers that `to_dict` gave.

        Raises
        ------
        SynthanomError
            If a name is missing or unknown.
        """
        return cls(**{name: _tupled(value) for name, value in known_fields(cls, data).items()})


@dataclass(frozen=True, kw_only=True)
class AbstractTask(ABC):
    """One kind of anomaly. Fields are its settings; the class attributes say what it is and needs.

    Attributes
    ----------
    shape : AbstractShape
        How the region is drawn; a task with regions of its own gives this field another default.
    """

    name: ClassVar[str]  # as stored in recipes and shards
    kind: ClassVar[str]  # what it does to the picture; validation is honest only between different kinds
    donor: ClassVar[DonorKind]
    params: ClassVar[type[AbstractParams]]

    shape: AbstractShape = field(default_factory=ShapeSettings)

    def draw_count(self, rng: np.random.Generator, most: int, repeat: float) -> int | None:
        """Draw how many anomalies one picture gets, before any of them.

        Parameters
        ----------
        rng : numpy Generator
        most : int
        repeat : float
            Probability of another.

        Returns
        -------
        int or None
            1 to `most`; None, and nothing drawn, where another follows after each with probability `repeat`, as for
            most tasks.
        """
        del rng, most, repeat
        return None

    def draw_region(self, rng: np.random.Generator, sample: Sample, within: MaskArray | None = None) -> Region:
        """Draw where one anomaly is, before its donor and its numbers.

        Parameters
        ----------
        rng : numpy Generator
        sample : Sample
        within : ndarray of shape (*S), bool, optional
            Location prior: at least half of the region lies in the foreground and in this mask.

        Returns
        -------
        Region

        Raises
        ------
        NoPlace
            If there is no such region.
        """
        return self.shape.draw_in(rng, sample, within)

    @property
    def physical(self) -> bool:
        """Whether the voxel size must be known: a setting is in mm."""
        return self.shape.physical

    @abstractmethod
    def sample_params(
        self, rng: np.random.Generator, sample: Sample, region: Region, donor: Sample | None = None
    ) -> AbstractParams:
        """Draw the numbers of one anomaly.

        Parameters
        ----------
        rng : numpy Generator
            The only source of randomness.
        sample : Sample
            Untouched, also where other anomalies were made before this one.
        region : Region
        donor : Sample, for tasks that blend one in

        Raises
        ------
        UnsuitableRegion
            If the task cannot work in this region; `synthesise` then draws another.
        """

    @staticmethod
    @abstractmethod
    def change(image: ImageArray, region: Region, params: Any, donor: Sample | None = None) -> ImageArray:
        """The region's box after the anomaly.

        Parameters
        ----------
        image : ndarray of shape (C, *S), float32
            Not written to.
        region : Region
        params : what `sample_params` drew
        donor : Sample, for tasks that blend one in

        Returns
        -------
        ndarray of shape (C, *box), float32
        """

    @staticmethod
    @abstractmethod
    def touched(before: ImageArray, after: ImageArray, region: Region, params: Any) -> MaskArray:
        """The voxels of the box that go to the labeller.

        Parameters
        ----------
        before, after : ndarray of shape (C, *box), float32
        region : Region
        params : what `sample_params` drew

        Returns
        -------
        ndarray of shape (*box), bool
        """

    @classmethod
    def apply(cls, image: Any, region: Region, params: Any, donor: Sample | None = None) -> Any:
        """Make the anomaly: a new image, float32 (C, *S), of the backend of `image`; nothing outside the box changes.

        Parameters
        ----------
        image : ndarray or tensor of shape (C, *S)
        region : Region
        params : what `sample_params` drew
        donor : Sample, for tasks that blend one in
        """
        values = as_numpy(image)
        check_image(values)
        out = np.array(values, dtype=np.float32, order="C")
        out[(slice(None), *region.slices)] = cls.change(out, region, params, donor)
        return back_to(out, image)

    def __call__(
        self,
        image: Any,
        foreground: Any = None,
        *,
        rng: np.random.Generator,
        donors: Sequence[Sample] | None = None,
        labeller: "AbstractLabeller | None" = None,
    ) -> tuple[Any, Any]:
        """Draw and make anomalies in a picture: (image, label), for people who only have arrays.

        Parameters
        ----------
        image : ndarray or tensor of shape (C, *S), normalised
        foreground : bool array of shape (*S), optional
        rng : numpy Generator
        donors : sequence of Samples, for the blending tasks
        labeller : AbstractLabeller, `FlippedGaussian()` by default

        Returns
        -------
        image : float32 (C, *S), a new array of the same backend
        label : float32 (*S) in [0, 1]
        """
        from synthanom.labels import FlippedGaussian
        from synthanom.synthesis import synthesise

        mask = None if foreground is None else as_numpy(foreground)
        sample = Sample.from_array(as_numpy(image), mask)
        result = synthesise(sample, self, labeller or FlippedGaussian(), rng=rng, donors=donors)
        return back_to(result.image, image), back_to(result.label, image)

    def to_dict(self) -> dict[str, Any]:
        """The settings as JSON; those that came later (`regions.LATER`) only where they are set."""
        return _stored(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """The task with these settings; those not named keep their defaults.

        Raises
        ------
        SynthanomError
            For a setting that does not exist or has a wrong value.
        """
        task: Self = settings_of(cls, data, cls.name)
        return task


def settings_of(cls: type[Any], data: Mapping[str, Any], owner: str) -> Any:
    """A settings dataclass from a mapping, settings within settings included; those not named keep their defaults.

    Parameters
    ----------
    cls : type
        All its fields have defaults.
    data : mapping
    owner : str
        The mapping's path in its file or data set, which begins every message.

    Raises
    ------
    SynthanomError
        For a setting that does not exist or has a wrong value.
    """
    known = {f.name: f.default if f.default_factory is MISSING else f.default_factory() for f in fields(cls)}
    given: dict[str, Any] = {}
    for name, value in data.items():
        path = f"{owner}.{name}"
        if name not in known:
            hint = meant(name, known, before=f"{owner}.") or f"; it has {', '.join(sorted(known))}"
            raise SynthanomError(f"{path}: {owner} has no setting {name!r}{hint}")
        default = known[name]
        if is_dataclass(default):
            if not isinstance(value, Mapping):
                raise SynthanomError(f"{path}: must be a mapping of settings, got {value!r}")
            given[name] = settings_of(type(default), value, path)
        else:
            _check_kind(path, value, default)
            given[name] = _tupled(value)
    try:
        return cls(**given)
    except TypeError as error:
        raise SynthanomError(f"{owner} got a setting of the wrong type: {error}") from error
    except SynthanomError as error:
        # messages of settings begin with the name of what is wrong
        between = "." if str(error).split(" ")[0] in known else ": "
        raise SynthanomError(f"{owner}{between}{error}") from error


def _check_kind(path: str, value: Any, default: Any) -> None:
    """Raise unless a setting is of the kind of its default: a number, yes or no, a word, or a list of such."""
    if value is None:
        return  # whether nothing will do is the settings' own business
    if isinstance(default, tuple):
        if not isinstance(value, list | tuple):
            raise SynthanomError(f"{path}: must be a list, got {value!r}")
        for place, item in enumerate(value):
            _check_kind(f"{path}[{place}]", item, next(iter(default), None))
        return
    kinds: tuple[tuple[type[Any] | tuple[type[Any], ...], str], ...] = (
        (bool, "true or false"),
        (int, "a whole number"),
        ((int, float), "a number"),
        (str, "a word"),
    )
    for kind, words in kinds:
        if isinstance(default, kind):
            if not isinstance(value, kind) or (kind is not bool and isinstance(value, bool)):
                raise SynthanomError(f"{path}: must be {words}, got {value!r}{_exponent(words, value)}")
            return


def _exponent(wanted: str, value: Any) -> str:
    """What YAML takes for a word: 1e-3."""
    looks_like_one = wanted == "a number" and isinstance(value, str) and "e" in value.lower()
    return "; in YAML a number with an exponent needs a point: 1.0e-3" if looks_like_one else ""


def known_fields(cls: type[Any], data: Mapping[str, Any]) -> Mapping[str, Any]:
    """`data`, if it names exactly the fields of a dataclass.

    Raises
    ------
    SynthanomError
    """
    names = {field.name for field in fields(cls)}
    if set(data) != names:
        raise SynthanomError(
            f"{cls.__name__} must name exactly {', '.join(sorted(names))}, got {', '.join(sorted(data)) or 'nothing'}"
        )
    return data


def limits_of(sample: Sample) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """A sample's range per channel as plain numbers: (smallest, largest)."""
    return sample.range_numbers


def _stored(settings: Any) -> dict[str, Any]:
    """The fields of a settings dataclass as JSON, settings within it included."""
    kept = [f for f in fields(settings) if not (f.metadata.get("later") and getattr(settings, f.name) == f.default)]
    values = {f.name: getattr(settings, f.name) for f in kept}
    return {name: _stored(value) if is_dataclass(value) else _listed(value) for name, value in values.items()}


def _listed(value: Any) -> Any:
    """Tuples as lists, all the way down: what JSON gives back."""
    if isinstance(value, dict):
        return {name: _listed(v) for name, v in value.items()}
    return [_listed(v) for v in value] if isinstance(value, list | tuple) else value


def _tupled(value: Any) -> Any:
    """Lists as tuples, all the way down."""
    return tuple(_tupled(v) for v in value) if isinstance(value, list | tuple) else value
