"""The donors that recipes name, found by digest in the healthy shards of data sets, wherever these lie now."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from synthanom.donors import DonorRef, DonorSet
from synthanom.errors import MissingDonor, SynthanomError
from synthanom.fold_donors import OWN_SET, Kept, live_settings, row_key
from synthanom.manifest import DAMAGED, NAME
from synthanom.recipe import Recipe
from synthanom.sample import Sample
from synthanom.shards import DataSet
from synthanom.textures import SET_NAME, TextureDonors

Folders = Path | str | Sequence[Path | str] | None
TEXTURE = "texture-"  # how names of textures begin; their number follows
SHOWN = 12  # digits of a digest in messages


class DonorFinder:
    """Finds what the pictures of a data set borrowed from; made by `finding_donors`.

    A donor is one of the data set's own healthy rows, a healthy row of another data set, or a procedural texture, which
    is made again.

    Parameters
    ----------
    data : DataSet
    given : sequence of Path
        Data sets to look in, besides where the donors' lay when `data` was built and beside `data`.
    remade : bool
        Whether textures may differ in their last bits from those that were used, as on another machine.
    live : bool
        Whether the recipes are of live training, which takes textures where the configuration says nothing of donors.
    """

    def __init__(self, data: DataSet, given: Sequence[Path], *, remade: bool, live: bool = False) -> None:
        self._data, self._remade = data, remade
        self._settings = live_settings(data) if live else donor_settings(data)
        self._kept = Kept()
        self._own = _Source(data)
        self._lenders: list[_Source] | None = None
        self._given = [_Source(DataSet.open(folder)) for folder in given]
        check_use(data, given)

    def of(self, recipe: Recipe) -> dict[str, DonorSet]:
        """The donors of a recipe by task, each verified by its digest.

        Raises
        ------
        MissingDonor
            Naming the donor and its data set.
        SynthanomError
            If a row is damaged.
        """
        wanted: dict[str, dict[DonorRef, Sample]] = {}
        for anomaly in recipe.anomalies:
            if anomaly.donor is not None:
                wanted.setdefault(anomaly.task, {})[anomaly.donor] = self._sample(anomaly.donor)
        return {task: self._set(found) for task, found in wanted.items()}

    def close(self) -> None:
        """Close the donors' data sets."""
        for source in (*self._given, *(self._lenders or ())):
            source.data.close()

    def _set(self, found: Mapping[DonorRef, Sample]) -> DonorSet:
        return DonorSet(
            name=next(iter(found)).set,
            samples=tuple(found.values()),
            ids=tuple(reference.id for reference in found),  # a data set may have come to call them otherwise
            subjects=tuple(sample.subject for sample in found.values()),
            remade=self._remade and all(reference.set == SET_NAME for reference in found),
        )

    def _sample(self, reference: DonorRef) -> Sample:
        if reference.set == SET_NAME:
            return self._texture(reference)
        sources = [self._own] if reference.set == OWN_SET else self._opened(reference.set)
        found = next(_matching(sources, reference, self._kept), None)
        if found is None and reference.set == OWN_SET:  # nothing that another data set could help with
            raise SynthanomError(self._missing(reference, sources))
        if found is None:
            raise MissingDonor(self._missing(reference, sources))
        return found

    def _texture(self, reference: DonorRef) -> Sample:
        number = reference.id.removeprefix(TEXTURE)
        if self._settings["kind"] != SET_NAME or not (number.isascii() and number.isdigit()):
            raise SynthanomError(
                f"{self._data.folder}: donor {reference.id!r} must be one of its procedural textures, and it has none "
                f"of that name; {DAMAGED}"
            )
        textures = TextureDonors(
            shape=tuple(self._settings["shape"]),
            channels=int(self._settings["channels"]),
            deviation=float(self._settings["deviation"]),
            total=1,
            start=int(number),
        )
        return self._kept.get((SET_NAME, int(number)), lambda: textures[0])

    def _opened(self, name: str) -> "list[_Source]":
        """The donors' data set where it is found by its digest, else what was given: donors may have been joined."""
        if self._lenders is None:
            exact = exact_place(self._data, [source.data.folder for source in self._given])
            self._lenders = self._given if exact is None else [_Source(_open(exact))]
        if not self._lenders:
            raise MissingDonor(
                f"{self._data.folder}: inter_blend borrowed from {named(self._data, name)}, which is not at "
                f"{self._settings.get('path')}; say where it lies now with --donors FOLDER"
            )
        return self._lenders

    def _missing(self, reference: DonorRef, sources: "Sequence[_Source]") -> str:
        """Why a donor is in none of the sources."""
        wanted = reference.sha256[:SHOWN]
        own = reference.set == OWN_SET
        remedy = (
            DAMAGED if own else f"give {named(self._data, reference.set)} with --donors FOLDER, which may be repeated"
        )
        for source in sources:
            if reference.id in source.rows:
                found = source.sample(source.rows[reference.id], self._kept).sha256[:SHOWN]
                return (
                    f"{source.data.folder}: donor {reference.id!r} must have digest {wanted}, as when "
                    f"{self._data.folder} was built, got {found}: its image or its preprocessing is another; {remedy}"
                )
        where = ", ".join(str(source.data.folder) for source in sources)
        return f"{self._data.folder}: donor {reference.id!r} (digest {wanted}) must be in {where}, and is not; {remedy}"


class _Source:
    """A data set to look for donors in."""

    def __init__(self, data: DataSet) -> None:
        self.data = data
        self._rows: dict[str, int] | None = None
        self._digests: dict[str, int] | None = None

    @property
    def rows(self) -> dict[str, int]:
        """Healthy rows by id."""
        if self._rows is None:
            self._rows = {name: row for row, name in enumerate(self.data.healthy_ids)}
        return self._rows

    def sample(self, row: int, kept: Kept) -> Sample:
        """The image of a row, from those kept where it is there."""
        return kept.get(row_key(self.data, row), lambda: self.data.healthy(row))

    def row_of(self, digest: str) -> int | None:
        """The row with this image, whatever it is called; all images are read once."""
        if self._digests is None:
            self._digests = {self.data.healthy(row).sha256: row for row in range(len(self.data))}
        return self._digests.get(digest)


@contextmanager
def finding_donors(
    data: DataSet, given: Folders = None, *, remade: bool = False, live: bool = False
) -> Iterator[DonorFinder]:
    """A `DonorFinder` whose data sets are closed after the block.

    Raises
    ------
    SynthanomError
        If the configuration does not say which donors were used, or `given` has no use.
    """
    finder = DonorFinder(data, folders(given), remade=remade, live=live)
    try:
        yield finder
    finally:
        finder.close()


def folders(given: Folders) -> tuple[Path, ...]:
    """One folder, several or none as a tuple."""
    if given is None:
        return ()
    return (Path(given),) if isinstance(given, str | Path) else tuple(Path(folder) for folder in given)


def donor_settings(data: DataSet) -> Mapping[str, Any]:
    """What the configuration says about donors.

    Raises
    ------
    SynthanomError
        If it says nothing.
    """
    settings = data.manifest.configuration.get("donors")
    if not isinstance(settings, Mapping) or "kind" not in settings:
        raise SynthanomError(f"{data.folder}: its configuration must say which donors were used, got {settings!r}")
    return settings


def check_use(data: DataSet, given: Sequence[Path]) -> None:
    """Refuse folders of donors for a data set that borrowed from none.

    Raises
    ------
    SynthanomError
    """
    settings = data.manifest.configuration.get("donors")
    if given and (settings is None or settings["kind"] == SET_NAME):
        raise SynthanomError(
            f"{data.folder}: was built with procedural textures, not with donors of {given[0]}; leave --donors out"
        )


def named(data: DataSet, name: str) -> str:
    """What to call the donors' data set of that name in messages."""
    settings = donor_settings(data)
    if name != settings.get("name"):
        return f"data set {name!r}"
    digest, subjects = str(settings.get("sha256"))[:SHOWN], len(settings.get("folds", {}))
    return f"data set {name!r} ({NAME} with digest {digest}, {subjects} subjects)"


def lender_of(data: DataSet, given: Folders = None) -> DataSet:
    """The very data set that `inter_blend` borrowed from, opened: known by its digest, whatever its folder is called.

    Parameters
    ----------
    data : DataSet
        Built with external donors.
    given : path or sequence of paths, optional
        Where to look, besides where it lay and beside `data`.

    Raises
    ------
    MissingDonor
        If it is nowhere.
    SynthanomError
        If it cannot be opened.
    """
    place = exact_place(data, folders(given))
    if place is None:
        settings, looked = donor_settings(data), (*folders(given), *places_of(data))
        raise MissingDonor(
            f"{data.folder}: inter_blend borrowed from {named(data, str(settings.get('name')))}, which is not at "
            f"{', '.join(map(str, looked))}; say where it lies now with --donors FOLDER, or train on the stored "
            "anomalies"
        )
    return _open(place)


def exact_place(data: DataSet, given: Sequence[Path]) -> Path | None:
    """Where the data set lies now that `data` borrowed from, to the digest of its `dataset.json`; None if nowhere."""
    wanted = donor_settings(data).get("sha256")
    return next((place for place in (*given, *places_of(data)) if _digest(place) == wanted), None)


def places_of(data: DataSet) -> tuple[Path, ...]:
    """Where an external donors' data set may lie unless one is told: where it lay, and beside the data set."""
    settings = donor_settings(data)
    if settings["kind"] == SET_NAME:
        return ()
    beside = data.folder.resolve().parent / str(settings.get("name"))
    return Path(str(settings.get("path"))), beside


def _open(folder: Path) -> DataSet:
    try:
        return DataSet.open(folder)
    except SynthanomError as error:  # for all rows that borrowed from it, not a problem of each
        raise MissingDonor(str(error)) from error


def _digest(folder: Path) -> str | None:
    """Of a data set's `dataset.json`; None where there is none."""
    path = folder / NAME
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else None
    except OSError as error:
        raise SynthanomError(f"{path}: must be readable, got {error.strerror or error}; check its rights") from error


def _matching(sources: Sequence[_Source], reference: DonorRef, kept: Kept) -> Iterator[Sample]:
    """Images with the digest that the reference names: those of its id first, then any."""
    for source in sources:
        if reference.id in source.rows:
            sample = source.sample(source.rows[reference.id], kept)
            if sample.sha256 == reference.sha256:
                yield sample
    for source in sources:
        row = source.row_of(reference.sha256)
        if row is not None:
            yield source.sample(row, kept)
