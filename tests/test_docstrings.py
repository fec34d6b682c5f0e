"""Every name of the reference says what goes in, what comes out and what it raises."""

import ast
import dataclasses
import inspect
import re
import textwrap
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

import synthanom

ROOT = Path(__file__).parents[1]
REFERENCE = sorted((ROOT / "docs" / "api").glob("*.md"))


def listed() -> dict[str, list[str]]:
    """Names of the reference by the module that it takes them from."""
    found: dict[str, list[str]] = {}
    for page in REFERENCE:
        for module, members in re.findall(r"^\.\. automodule:: (\S+)\n   :members:(.*)$", page.read_text(), re.M):
            names = [name.strip() for name in members.split(",") if name.strip()]
            found[module] = names or list(getattr(import_module(module), "__all__", own_names(module)))
    return found


def own_names(module: str) -> list[str]:
    """What a module without `__all__` defines for others."""
    things = vars(import_module(module)).items()
    return [n for n, thing in things if not n.startswith("_") and getattr(thing, "__module__", "") == module]


def documented() -> list[Any]:
    """The functions and classes of the reference, and the classes' own public methods."""
    found = []
    for module, names in listed().items():
        for name in names:
            thing = getattr(import_module(module), name)
            if not (inspect.isfunction(thing) or inspect.isclass(thing)):
                continue  # a table or a constant
            found.append(pytest.param(thing, id=f"{module}.{name}"))
            if inspect.isclass(thing):
                for method, plain in vars(thing).items():
                    function = plain.__func__ if isinstance(plain, classmethod | staticmethod) else plain
                    if inspect.isfunction(function) and not method.startswith("_"):
                        found.append(pytest.param((thing, method), id=f"{module}.{name}.{method}"))
    return found


def sections(doc: str) -> dict[str, str]:
    """The numpydoc sections of a docstring, by their names."""
    parts = re.split(r"^([A-Z][a-z ]+)\n-{3,}$", inspect.cleandoc(doc), flags=re.M)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def named(section: str) -> set[str]:
    """What a section of names describes: `a, b : type` names two, and names may share a line."""
    lines = [line for line in section.splitlines() if line and not line.startswith(" ")]
    return {name for line in lines for name in re.findall(r"(?:^|, )\*{0,2}(\w+)(?=(?:, \w+)* :|$|,)", line)}


def parameters(function: Any) -> list[str]:
    return [name for name in inspect.signature(function).parameters if name not in ("self", "cls")]


def raises(function: Any) -> bool:
    tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    return any(isinstance(node, ast.Raise) and node.exc is not None for node in ast.walk(tree))


@pytest.mark.parametrize("thing", documented())
def test_docstrings_say_what_goes_in_and_out(thing):
    owner, function = (thing[0], getattr(*thing)) if isinstance(thing, tuple) else (None, thing)
    assert inspect.getdoc(function), "has no docstring"
    if inspect.isclass(function):
        described = set().union(*(settings_of(parent) for parent in function.__mro__))
        assert not fields_of(function) - described, f"says nothing of {sorted(fields_of(function) - described)}"
        return
    found = sections(inspect.getdoc(function))
    for parent in owner.__mro__[1:] if owner else ():  # what an abstract method says holds for those that fill it in
        found = sections(getattr(vars(parent).get(function.__name__), "__doc__", None) or "") | found
    wanted = set(parameters(function))
    if owner is None or len(wanted) > 2:  # one line says enough of a method's one or two arguments
        missing = wanted - named(found.get("Parameters", ""))
        assert not missing, f"says nothing of {sorted(missing)}"
    gives = inspect.signature(function).return_annotation
    if owner is None:
        assert gives in (None, "None", inspect.Signature.empty) or {"Returns", "Yields"} & set(found), "has no Returns"
    assert "Raises" in found or not raises(function), "has no Raises"


def settings_of(cls: type) -> set[str]:
    """The fields or arguments that a class itself describes; inherited ones are described where they are defined."""
    found = sections(vars(cls).get("__doc__") or "")
    return named(found.get("Parameters", "")) | named(found.get("Attributes", ""))


def fields_of(cls: type) -> set[str]:
    if dataclasses.is_dataclass(cls):
        return {field.name for field in dataclasses.fields(cls) if field.init}
    if hasattr(cls, "model_fields"):
        return set(cls.model_fields)
    if issubclass(cls, BaseException) or cls.__init__ is object.__init__ or inspect.isabstract(cls):
        return set()
    return set(parameters(cls.__init__)) - {"args", "kwargs"}


def test_the_reference_misses_no_public_package():
    have = listed()
    for path in (ROOT / "synthanom").glob("*/__init__.py"):
        if path.parent.name == "cli":
            continue  # a command
        module = import_module(f"synthanom.{path.parent.name}")
        names = [n for n in getattr(module, "__all__", ()) if not inspect.ismodule(getattr(module, n))]
        if names:
            assert set(have.get(module.__name__, ())) == set(names), module.__name__
    public = {name for name in synthanom.__all__ if not inspect.ismodule(getattr(synthanom, name))}
    assert public - set(have["synthanom"]) == {"SynthanomError"}, "which has its place among the errors"
