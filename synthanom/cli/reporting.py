"""Writing an evaluation: JSON alone, or a folder with tables and figures."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from synthanom.cli.saving import check_json, save_json, save_picture
from synthanom.errors import SynthanomError
from synthanom.evaluation import Evaluation
from synthanom.evaluation.figures import curve_figures, history_figure
from synthanom.evaluation.paper import paper_tables
from synthanom.evaluation.rows import KIND
from synthanom.evaluation.shown import map_figures
from synthanom.evaluation.tables import SAMPLES, Table, comma_separated, markdown, tables_of
from synthanom.evaluation.truth import Missing
from synthanom.manifest import replaced_file

NUMBERS, TABLES, FIGURES = "evaluation.json", "tables", "figures"


def check_out(out: Path) -> bool:
    """Refuse, before any work, to write where something else is; whether a folder is to be written.

    Raises
    ------
    SynthanomError
    """
    if out.is_file() or out.suffix.lower() == ".json":
        check_json(out, KIND)
        return False
    if out.is_dir() and any(out.iterdir()):
        check_json(out / NUMBERS, KIND)
        if not (out / NUMBERS).exists():
            raise SynthanomError(f"{out}: holds something else than an evaluation; name an empty folder with --out")
    return True


def save_evaluation(
    out: Path,
    found: Evaluation,
    sources: Mapping[str, Path | None],
    *,
    as_folder: bool,
    missing: Missing,
) -> None:
    """Write the JSON, and into a folder also the tables and figures; `sources` are the folders that were evaluated.

    Raises
    ------
    SynthanomError
        If something cannot be written.
    """
    if not as_folder:
        save_json(out, found.to_dict())
        return
    figures = [*curve_figures(found), *map_figures(found, sources, missing)]
    if sources["run"] is not None:
        figures.append(history_figure(sources["run"]))
    save_json(out / NUMBERS, found.to_dict())
    save_tables(out / TABLES, {**tables_of(found), "table1": paper_tables([found.to_dict()])["table1"]})
    for figure in figures:
        save_picture(out / FIGURES / f"{figure.name}.png", figure.content)


def save_tables(folder: Path, tables: Mapping[str, Table]) -> None:
    """Write each table as Markdown and CSV; one line for each image as CSV only.

    Raises
    ------
    SynthanomError
        If something cannot be written.
    """
    for name, table in tables.items():
        if name != SAMPLES:
            _write(folder / f"{name}.md", markdown(table))
        _write(folder / f"{name}.csv", comma_separated(table))


def read_numbers(path: Path) -> dict[str, Any]:
    """What `save_evaluation` wrote, from its JSON or its folder.

    Raises
    ------
    SynthanomError
        Something else.
    """
    path = path / NUMBERS if path.is_dir() else path
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise SynthanomError(f"{path}: must be readable JSON of synthanom evaluate, got: {error}") from error
    if not isinstance(content, dict) or content.get("kind") != KIND:
        raise SynthanomError(f"{path}: must be written by synthanom evaluate --out, and is not; evaluate again")
    return content


def _write(path: Path, text: str) -> None:
    with replaced_file(path) as file:
        file.write(text.encode("utf-8"))
