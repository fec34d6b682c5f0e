"""The command `synthanom export-model`."""

from pathlib import Path
from typing import Annotated

import typer

from synthanom.errors import SynthanomError


def export_model(
    run: Annotated[Path, typer.Argument(help="Run or model folder.", show_default=False)],
    out: Annotated[Path, typer.Option(help="ONNX file to write.", show_default=False)],
    shape: Annotated[
        str | None, typer.Option(help="Voxels per axis of prepared images, as 96,128,128; else as in training.")
    ] = None,
    allow_import: Annotated[
        bool, typer.Option("--allow-import", help="Let a model name its own network class; runs that code.")
    ] = False,
) -> None:
    """Write a model as ONNX, position channels inside, checked against onnxruntime."""
    from synthanom.onnx_export import export_model as export
    from synthanom.training.checkpoint import load_model

    sides = None if shape is None else _sides(shape)
    model = load_model(run, allow_import=allow_import)
    apart = export(model, out, sides)
    size = out.stat().st_size / 1e6
    words = " x ".join(str(side) for side in (model.card.channels, *(sides or model.card.shape)))
    typer.echo(f"{out}: {size:.3g} MB, takes (batch, {words}); onnxruntime's maps within {apart:.1g} of torch's")


def _sides(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(word) for word in text.split(","))
    except ValueError as error:
        raise SynthanomError(f"--shape must be numbers of voxels such as 96,128,128, got {text!r}") from error
