"""From maps and truth to tables of figures with intervals, beside what chance and trivial maps reach."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from synthanom.errors import SynthanomError
from synthanom.evaluation.collect import STORED, Collected, Numbers, collect, collect_trivial
from synthanom.evaluation.cutting import AtCut, cut_numbers, cut_pixels, stored_cuts_of
from synthanom.evaluation.ranking import Ranked, batched_row, chance_row, is_first, rank_numbers, rank_pixels
from synthanom.evaluation.rows import (
    LEVELS,
    MODEL,
    RANDOM,
    Choices,
    CutRow,
    Difference,
    Evaluation,
    Row,
    SampleScore,
)
from synthanom.evaluation.scans import find_scans
from synthanom.evaluation.trivial import TRIVIAL
from synthanom.evaluation.truth import Item, Maps, Missing, find_maps, find_truth
from synthanom.metrics import interval_of_draws
from synthanom.progress import Track, untold


@dataclass(frozen=True, kw_only=True, eq=False)
class Measured:
    """All lines of one set of maps."""

    ranked: tuple[Ranked, ...]
    batched: tuple[Row, ...]
    cuts: tuple[AtCut, ...]


def evaluate(
    maps: Path,
    truth: Path | None = None,
    labels: Path | None = None,
    *,
    missing: Missing = "refuse",
    baselines: Mapping[str, Path] | None = None,
    images: Path | None = None,
    seed: int = 0,
    choices: Choices | None = None,
    track: Track = untold,
) -> Evaluation:
    """Compare maps with masks or labels: figures per sample, slice (of volumes), pixel and lesion.

    Parameters
    ----------
    maps : folder of maps
    truth : folder of masks
    labels : CSV file with the columns id and label (0 or 1), and subject if wanted
    missing : what a map without mask and label is taken for
    baselines : names and folders of other maps of the same images; the model is compared with each
    images : folder of the scans, for the trivial maps
    seed : int
        Of the bootstrap over subjects; not used where `choices` are given.
    choices : Choices, optional
    track : Track
        Shows how many maps were read, and how many figures have their intervals.

    Returns
    -------
    Evaluation

    Raises
    ------
    SynthanomError
        As `find_maps`, `find_truth`, `read_pair`, `read_scan`; choices out of range.
    """
    choices = choices or Choices(seed=seed)
    ours = find_maps(MODEL, maps)
    known = find_truth(ours, truth, labels, missing)
    taken = {MODEL, RANDOM, *TRIVIAL} & set(baselines or {})
    if taken:
        raise SynthanomError(f"a baseline must have a name of its own, got {sorted(taken)[0]!r}; rename it")
    others = [find_maps(name, folder) for name, folder in (baselines or {}).items()]
    scans = None if images is None else find_scans(images, ours)
    # one set of maps after the other, so that one set's pixels are in memory at a time
    found = collect(ours, known.items, choices, track=track)
    samples = _samples(found)
    model = _measured(found, ours, choices, track)
    rest = []
    for each in others:
        found = collect(each, known.items, choices, track=track)
        rest.append(_measured(found, each, choices, track))
    for name in TRIVIAL if scans is not None else ():
        assert scans is not None
        found = collect_trivial(name, scans, ours, known.items, choices, track=track)
        rest.append(_measured(found, None, choices, track))
    return Evaluation(
        rows=_rows(model, rest, choices),
        cuts=_cuts([model, *rest]),
        differences=tuple(d for other in rest for d in _differences(model, other)),
        notes=known.notes,
        captions=tuple(_captions(ours, scans is not None, model)),
        images=len(known.items),
        subjects=len({item.subject for item in known.items}),
        seed=choices.seed,
        choices=choices,
        data_set=known.data_set,
        models=tuple(ours.about.get("models", ())),
        curves=tuple(r.curve for each in (model, *rest) for r in each.ranked),
        samples=samples,
    )


def samples_of(
    maps: Maps, items: Sequence[Item], choices: Choices, *, track: Track = untold
) -> tuple[SampleScore, ...]:
    """Every map with its scores, as an evaluation has them; of items without truth, all are called healthy.

    Raises
    ------
    SynthanomError
        As `read_pair`.
    """
    return _samples(collect(maps, items, choices, track=track))


def _measured(found: Collected, maps: Maps | None, choices: Choices, track: Track) -> Measured:
    cuts = {} if maps is None else maps.cuts
    wanted: list[tuple[str, str, Numbers | None]] = [
        (level, score, numbers)
        for level, numbers in (("sample", found.samples), ("slice", found.slices))
        for score in numbers.scores
    ]
    wanted += [("pixel", "", None)] if found.pixels is not None else []
    ranked: list[Ranked] = []
    lines: list[AtCut] = []
    batched: list[Row] = []
    for level, score, numbers in track(f"intervals: {found.name}", wanted, len(wanted)):
        if numbers is not None:
            ranked.append(rank_numbers(level, score, found.name, numbers, choices))
            own = stored_cuts_of(level, score, cuts)
            lines += cut_numbers(level, score, found.name, numbers, own, choices)
        elif found.pixels is not None:
            ranked.append(rank_pixels(found, found.pixels, choices))
            lines += cut_pixels(found, found.pixels, cuts.get("pixel", {}), choices)
            batched += batched_row(found.pixels, ranked[-1].row)
    return Measured(ranked=tuple(ranked), batched=tuple(batched), cuts=tuple(lines))


def _rows(model: Measured, rest: Sequence[Measured], choices: Choices) -> tuple[Row, ...]:
    """By level, chance last, everything else as it came."""
    rows = [row for each in (model, *rest) for row in (*(r.row for r in each.ranked), *each.batched)]
    rows += [chance_row(r.row, choices) for r in model.ranked if is_first(r.row)]
    return tuple(sorted(rows, key=lambda row: (LEVELS.index(row.level), row.maps == RANDOM)))


def _cuts(every: Sequence[Measured]) -> tuple[CutRow, ...]:
    """By level, everything else as it came."""
    return tuple(sorted((c.row for each in every for c in each.cuts), key=lambda row: LEVELS.index(row.level)))


def _differences(model: Measured, other: Measured) -> Iterator[Difference]:
    """Ours minus theirs, resample by resample: ranking figures, then figures at cuts that were chosen alike."""
    theirs = {(r.row.level, r.row.score): r for r in other.ranked}
    for ours in model.ranked:
        found = theirs.get((ours.row.level, ours.row.score))
        if found is None:
            continue
        values = [{name: getattr(r.row, name).value for name in r.draws} for r in (ours, found)]
        yield Difference(
            level=ours.row.level, score=ours.row.score, against=found.row.maps, chosen="",
            figures={
                name: interval_of_draws(values[0][name] - values[1][name], ours.draws[name] - found.draws[name])
                for name in ours.draws
            },
        )  # fmt: skip
    cuts = {(c.row.level, c.row.score, c.row.chosen): c for c in other.cuts if c.row.maps != RANDOM}
    for line in model.cuts:
        match = cuts.get((line.row.level, line.row.score, line.row.chosen))
        if match is None or line.row.maps == RANDOM:
            continue
        yield Difference(
            level=line.row.level, score=line.row.score, against=match.row.maps, chosen=line.row.chosen,
            figures={
                name: interval_of_draws(
                    line.row.figures[name].value - match.row.figures[name].value, line.draws[name] - match.draws[name]
                )
                for name in line.draws
            },
        )  # fmt: skip


def _samples(found: Collected) -> tuple[SampleScore, ...]:
    scores, numbers = found.samples.scores, found.samples
    return tuple(
        SampleScore(
            id=name,
            subject=numbers.subjects[k],
            anomalous=numbers.truth[k],
            scores={way: values[k] for way, values in scores.items()},
        )
        for k, name in enumerate(found.ids)
    )


def _captions(maps: Maps, scans: bool, model: Measured) -> Iterator[str]:
    """What the tables lack, and why."""
    if not scans:
        yield f"no trivial baselines ({', '.join(TRIVIAL)}): they need the scans, --images"
    if not maps.cuts:
        several = len(maps.about.get("models", ())) > 1
        why = "the mean of several models has none" if several else "these maps come without any"
        yield f"no stored cuts: {why}; the cuts marked oracle are chosen on this very truth and flatter"
    elif not any(r.row.score == STORED for r in model.ranked) and "sample" in maps.cuts:
        yield "the stored cut for samples is not used: it needs the model's own scores of all of them (scores.csv)"
    if not any(r.row.level == "pixel" for r in model.ranked):
        yield "no pixels and lesions: no mask is known"
