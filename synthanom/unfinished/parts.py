"""Parts of one build, each made by a job of its own: which units are whose, and who has begun."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from synthanom.errors import SynthanomError
from synthanom.manifest import replaced_file
from synthanom.unfinished.records import FOLDER

SHOWN = 5  # parts that a message names
Unit = tuple[str, int]  # stage and number


@dataclass(frozen=True, kw_only=True)
class Part:
    """One of several parts.

    Attributes
    ----------
    number : int
        From 1.
    of : int
        How many there are.
    """

    number: int
    of: int

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"

    @property
    def name(self) -> str:
        """For files."""
        return f"part-{self.number}-of-{self.of}"

    def share(self, units: Sequence[Unit]) -> list[Unit]:
        """Its own of the units: neighbours, whose images and donors are the same."""
        first, end = (len(units) * number // self.of for number in (self.number - 1, self.number))
        return list(units[first:end])

    def first_its_own(self, units: Sequence[Unit]) -> list[Unit]:
        """All of the units, its own first, then those of the next part and so on: no two parts begin with the same."""
        first = len(units) * (self.number - 1) // self.of
        return [*units[first:], *units[:first]]


def parsed_part(text: str | None) -> Part | None:
    """The part that ``"3/20"`` names; None for None.

    Raises
    ------
    SynthanomError
    """
    if text is None:
        return None
    match = re.fullmatch(r"([0-9]{1,6})/([0-9]{1,6})", text)
    part = Part(number=int(match[1]), of=int(match[2])) if match else None
    if part is None or not 1 <= part.number <= part.of:
        raise SynthanomError(f"--part must be K/N with K from 1 to N, as 3/20, got {text!r}")
    return part


def in_turn(units: Mapping[str, int], stages: Sequence[str]) -> list[Unit]:
    """All units of some stages, those of the same images after one another, as they are still in memory then."""
    most = max((units[stage] for stage in stages), default=0)
    return [(stage, number) for number in range(most) for stage in stages if number < units[stage]]


def note_part(out: Path, part: Part) -> None:
    """Leave word that a part has begun.

    Raises
    ------
    SynthanomError
        If it cannot be written.
    """
    with replaced_file(out / FOLDER / f"{part.name}.json") as file:
        file.write(json.dumps({"number": part.number, "of": part.of}).encode("ascii"))


def whose(folders: Sequence[Path], units: Mapping[str, int], missing: Sequence[Unit]) -> str:
    """Which parts have to be run again to make the missing units, in words."""
    total = f"{len(missing)} of {sum(units.values())} units are missing"
    found = {int(path.stem.split("-")[3]) for folder in folders for path in folder.glob(f"{FOLDER}/part-*-of-*.json")}
    if len(found) != 1:
        return f"{total}; run the build's command again, for every part if it had such"
    (count,) = found
    stages = [stage for stage in units if stage != "healthy"]
    lacking = []
    for number in range(1, count + 1):
        part = Part(number=number, of=count)
        own = {*part.share(in_turn(units, stages)), *part.share(in_turn(units, ["healthy"]))}
        left = sum(unit in own for unit in missing)
        lacking += [f"{part} ({left} units)"] if left else []
    more = f" and {len(lacking) - SHOWN} more" if len(lacking) > SHOWN else ""
    return f"{total}: run again part {', '.join(lacking[:SHOWN])}{more}"
