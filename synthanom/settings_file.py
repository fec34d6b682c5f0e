"""Files of settings in YAML: read strictly, and what is wrong with them said with the key's path."""

from collections.abc import Hashable, Iterable
from pathlib import Path
from typing import Any

from synthanom.errors import SynthanomError
from synthanom.nearest import meant, nearest


def read_settings(path: Path) -> dict[str, Any]:
    """The settings in a YAML file; none if it is empty.

    Raises
    ------
    SynthanomError
        If there is no such file (one of a similar name beside it is named), it is not YAML (line and column are), a
        key is given twice, or it holds something else than keys and values.
    """
    import yaml

    try:
        text = path.read_text(encoding="utf-8-sig")
        node = yaml.compose(text, yaml.SafeLoader)
        _refuse_repeated(node, "", set())
        content = yaml.safe_load(text)
    except FileNotFoundError as error:
        raise SynthanomError(f"{path}: must be a readable YAML file, and there is none{_beside(path)}") from error
    except UnicodeDecodeError as error:
        raise SynthanomError(f"{path}: must be a readable YAML file, in UTF-8, got '{error}'; save it so") from error
    except yaml.MarkedYAMLError as error:
        where = "" if error.problem_mark is None else _place(error.problem_mark)
        problem = " ".join(str(error.problem or error.context).split())
        raise SynthanomError(f"{path}:{where} must be readable YAML, got '{problem}'; correct it") from error
    except (OSError, yaml.YAMLError, RecursionError) as error:
        reason = getattr(error, "strerror", None) or " ".join(str(error).split())
        raise SynthanomError(f"{path}: must be a readable YAML file, got '{reason}'; correct it") from error
    except SynthanomError as error:
        raise SynthanomError(f"{path}:{error}") from error
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise SynthanomError(f"{path}: must hold settings as key: value, got {type(content).__name__}")
    return content


def refuse_unknown(given: Iterable[Hashable], known: Iterable[str], before: str = "") -> None:
    """Raise for the first key that is not known.

    Parameters
    ----------
    given, known : iterables
    before : str
        Path of the mapping, with a point at its end where it is not empty.

    Raises
    ------
    SynthanomError
        With the key's path and the nearest known one; all known ones where none is near.
    """
    names = tuple(known)
    for key in given:
        if key not in names:
            hint = meant(key, names, before=before) or f"; known are {', '.join(names)}"
            raise SynthanomError(f"unknown setting {before}{key}{hint}")


def key_path(parts: Iterable[str | int]) -> str:
    """Keys and places in lists as one path: `network.features[2]`."""
    path = ""
    for part in parts:
        path += f"[{part}]" if isinstance(part, int) else f".{part}" if path else part
    return path


def _beside(path: Path) -> str:
    """The file of a similar name in the same folder, if there is one."""
    try:
        names = [entry.name for entry in path.parent.iterdir() if entry.suffix in (".yaml", ".yml")]
    except OSError:
        return f": {path.parent} is no folder" if not path.parent.is_dir() else ""
    found = nearest(path.name, names)
    return "; check the path" if found is None else f"; did you mean {path.parent / found}?"


def _refuse_repeated(node: Any, before: str, met: set[int]) -> None:
    """Raise for the first key that stands twice in one mapping: YAML's reader would drop the first."""
    import yaml

    if id(node) in met:  # aliases of aliases would take for ever
        return
    met.add(id(node))
    if isinstance(node, yaml.SequenceNode):
        for place, item in enumerate(node.value):
            _refuse_repeated(item, f"{before}[{place}]", met)
    if not isinstance(node, yaml.MappingNode):
        return
    seen: set[str] = set()
    for key, value in node.value:
        path = f"{before}.{key.value}".removeprefix(".")
        if path in seen:
            raise SynthanomError(f"{_place(key.start_mark)} {path} must be given once, and stands there again")
        seen.add(path)
        _refuse_repeated(value, path, met)


def _place(mark: Any) -> str:
    return f" line {mark.line + 1}, column {mark.column + 1}:"
