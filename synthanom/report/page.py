"""What a report consists of.

A section is added in three steps: gather plain values (strings, numbers, `chart_svg`, `Viewer`) in a function of the
kind's module, lay them out in a template below `templates/KIND/`, and return
``section("name", "Title", "KIND/name.html", values=...)`` among the sections of the page. Templates take looks from
`templates/report.css`, the macro `viewer` from `templates/viewer.html`, and escape whatever is not already `Markup`.
"""

from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from synthanom.report.rendering import filled


@dataclass(frozen=True, kw_only=True)
class Section:
    """One part of a page, with a line in its table of contents.

    Attributes
    ----------
    name : str
        Lower-case letters and hyphens: the part's id, and the beginning of the ids within it.
    title : str
    content : Markup
        Its HTML, from a template.
    """

    name: str
    title: str
    content: Markup


@dataclass(frozen=True, kw_only=True)
class Page:
    """A report before it is laid out.

    Attributes
    ----------
    kind : str
        What it is about, in words: ``"data set"``.
    title : str
    lead : str
        One sentence below the title.
    sections : tuple of Section
    scripts : tuple of str
        Templates of JavaScript that are run after `report.js`, for what only this kind of page does. Their data is
        best put into its templates as ``<script type="application/json" id="...">{{ values | tojson }}</script>``.
    """

    kind: str
    title: str
    lead: str
    sections: tuple[Section, ...]
    scripts: tuple[str, ...] = ()


def section(name: str, title: str, template: str, **values: Any) -> Section:
    """A section whose content is a filled template.

    Parameters
    ----------
    name : str
        Its anchor in the page; known to the template too.
    title : str
    template : str
        Path below `synthanom/report/templates/`.
    **values : Any
        What the template is filled with, escaped.

    Returns
    -------
    Section
    """
    return Section(name=name, title=title, content=filled(template, name=name, **values))
