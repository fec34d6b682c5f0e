"""Templates to bytes: text from data is escaped, and the page may load nothing and run nothing but our own script."""

import base64
import hashlib
from functools import cache
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from synthanom import __version__

if TYPE_CHECKING:
    from synthanom.report.page import Page

MARK = "<!DOCTYPE html>\n<!-- synthanom report -->\n"  # by which our own reports are told from other files
# a second guard beside escaping: a browser refuses whatever else a page might try to load or run
POLICY = (
    "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'; base-uri 'none'; "
    "form-action 'none'"
)


def filled(template: str, **values: Any) -> Markup:
    """The HTML that a template below `templates/` gives; a value that it lacks is an error."""
    return Markup(_templates().get_template(template).render(**values))


def rendered(page: "Page") -> bytes:
    """The whole report; the same page gives the same bytes.

    Parameters
    ----------
    page : Page

    Returns
    -------
    bytes
        HTML in UTF-8.
    """
    script = "\n".join(_source(name) for name in ("report.js", *page.scripts))
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    body = filled(
        "page.html",
        page=page,
        policy=POLICY.format(digest=digest),
        style=Markup(_source("report.css")),
        script=Markup(script),
        version=__version__,
    )
    return f"{MARK}{body}\n".encode()


def is_our_report(content: bytes) -> bool:
    """Whether a file is a report from `rendered`.

    Parameters
    ----------
    content : bytes
        Its first bytes, 64 at least.

    Returns
    -------
    bool
    """
    return content.startswith(MARK.encode())


@cache
def _templates() -> Environment:
    return Environment(
        loader=PackageLoader("synthanom.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _source(name: str) -> str:
    """The text of a file beside the templates, as it is."""
    loader = _templates().loader
    assert loader is not None
    return loader.get_source(_templates(), name)[0]
