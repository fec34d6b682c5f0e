"""The command `synthanom tables`."""

from pathlib import Path
from typing import Annotated

import typer


def tables(
    numbers: Annotated[
        list[Path], typer.Argument(help="JSON files or folders of synthanom evaluate --out.", show_default=False)
    ],
    out: Annotated[Path, typer.Option(help="Folder for table1 and table2, as .md and .csv.", show_default=False)],
) -> None:
    """Put evaluations of several models and data sets side by side, as the paper's Tables 1 and 2."""
    from synthanom.cli.reporting import read_numbers, save_tables
    from synthanom.evaluation.paper import paper_tables
    from synthanom.evaluation.tables import markdown

    made = paper_tables([read_numbers(path) for path in numbers])
    save_tables(out, made)
    for table in made.values():
        typer.echo(markdown(table))
