"""Self-contained HTML pages: `page` says how a section is added, `kinds` how a kind of page is.

Everything is drawn, filled in and inlined before it is written: a page loads nothing, and runs one script of ours.
"""

from synthanom.report.kinds import page_of
from synthanom.report.page import Page, Section, section
from synthanom.report.rendering import is_our_report, rendered

__all__ = ["page_of", "rendered", "is_our_report", "Page", "Section", "section"]
