"""Reading a folder of maps back: what `predict.json` says of it."""

import json
from pathlib import Path
from typing import Any

from synthanom.errors import SynthanomError

NAME, KIND, FORMAT = "predict.json", "synthanom-prediction", 1
SCORES = "scores.csv"


def read_prediction(folder: Path) -> dict[str, Any] | None:
    """What `predict.json` says of a folder of maps, None where there is none.

    Raises
    ------
    SynthanomError
        Damaged, or of a newer format.
    """
    path = folder / NAME
    if not path.is_file():
        return None
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise SynthanomError(f"{path}: must be readable JSON, got: {error}; predict into an empty folder") from error
    if not isinstance(content, dict) or content.get("kind") != KIND or not isinstance(content.get("maps"), dict):
        raise SynthanomError(f"{path}: must be written by synthanom predict, and is not; name another folder")
    if content.get("format") != FORMAT:
        raise SynthanomError(
            f"{path}: format must be {FORMAT}, got {content.get('format')!r}: upgrade with pip install --upgrade "
            "synthanom"
        )
    return content
