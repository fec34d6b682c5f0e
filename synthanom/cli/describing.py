"""What `synthanom describe` prints."""

import typer

from synthanom.description import Description
from synthanom.description.tables import content_tables, description_lines, leaks_text


def print_description(found: Description) -> None:
    """Print lines and tables for people, and how many leaks were found."""
    lines = [*description_lines(found), ("leaks", leaks_text(found))]
    width = max(len(name) for name, _ in lines)
    for name, value in lines:
        typer.echo(f"{name:<{width}}  {value}")
    for title, columns, rows in content_tables(found):
        typer.echo(f"\n{title}")
        widths = [max(map(len, cells)) for cells in zip(columns, *rows, strict=True)]
        for cells in (columns, *rows):
            first, *rest = (
                f"{c:<{w}}" if k == 0 else f"{c:>{w}}" for k, (c, w) in enumerate(zip(cells, widths, strict=True))
            )
            typer.echo("  ".join(["", first, *rest]))
