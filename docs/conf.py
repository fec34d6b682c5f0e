"""Settings of the built documentation. `make docs` builds it without the network, warnings being errors."""

import os
import re
import sys
from pathlib import Path
from typing import Any

from docutils import nodes
from docutils.utils.math.latex2mathml import tex2mathml

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from synthanom import __version__  # noqa: E402  (only now can it be found without an installation)

project = "synthanom"
author = "the synthanom contributors"
copyright = author  # noqa: A001  (Sphinx's name)
version = release = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build"]
nitpicky = True  # every name that is referred to must be found
default_role = "literal"  # docstrings put names between single backticks

myst_heading_anchors = 4
myst_fence_as_directive = ["math"]  # as GitHub shows formulas, too

html_theme = "furo"
html_title = f"synthanom {__version__}"
html_math_renderer = "mathml"
html_copy_source = False
html_show_sphinx = False

autodoc_typehints = "none"  # the sections say types with shapes and units
autodoc_member_order = "bysource"
# sections as text: a "type" here is prose ("bool (*S), voxels") and no name to look up
napoleon_google_docstring = False
napoleon_use_param = False
napoleon_use_rtype = False
napoleon_custom_sections = [("Attributes", "params_style")]

# pages that lie elsewhere and are included here, by the name of the page
ELSEWHERE = {"builders": "builders/README.md", "contributing": "CONTRIBUTING.md", "changelog": "CHANGELOG.md"}
NO_COLON = "\ue000"  # napoleon takes what stands before a property's first colon for a type
LINK = re.compile(r"\]\(((?!https?:|#)[^)#\s]+)")


def moved_links(text: str, folder: Path, page: Path) -> str:
    """The text of a Markdown file in `folder` with links that lead to the same places from `page`."""

    def moved(found: re.Match[str]) -> str:
        target = (folder / found[1]).resolve()
        for name, source in ELSEWHERE.items():
            if target == ROOT / source:
                target = ROOT / "docs" / f"{name}.md"
        return f"]({Path(os.path.relpath(target, page.parent)).as_posix()}"

    return LINK.sub(moved, text)


def page_read(app: Any, name: str, content: list[str]) -> None:
    page = Path(app.env.doc2path(name))
    if page.suffix == ".md":
        content[0] = moved_links(content[0], page.parent, page)


def include_read(app: Any, path: Path, name: str, content: list[str]) -> None:
    here = Path(app.srcdir)
    content[0] = moved_links(content[0], (here / path).parent, here / f"{name}.md")


def escaped(app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Docstrings are plain text: `*S` and `|x|` outside of backticks are no markup."""
    for number, line in enumerate(lines):
        parts = line.split("`")
        parts[::2] = [re.sub(r"([*|])", r"\\\1", part) for part in parts[::2]]
        lines[number] = "`".join(parts)
    if what == "property" and lines:
        lines[0] = lines[0].replace(":", NO_COLON)


def coloned(app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    lines[:] = [line.replace(NO_COLON, ":") for line in lines]


def inline_formula(writer: Any, node: nodes.math) -> None:
    writer.body.append(tex2mathml(node.astext()))
    raise nodes.SkipNode


def formula(writer: Any, node: nodes.math_block) -> None:
    writer.body.append(f'<div class="math">{tex2mathml(node.astext(), as_block=True)}</div>')
    raise nodes.SkipNode


def setup(app: Any) -> None:
    app.connect("source-read", page_read)
    app.connect("include-read", include_read)
    app.connect("autodoc-process-docstring", escaped, priority=400)  # before the sections are read
    app.connect("autodoc-process-docstring", coloned, priority=600)
    # browsers show MathML by themselves; MathJax would be fetched from the web
    app.add_html_math_renderer("mathml", (inline_formula, None), (formula, None))
