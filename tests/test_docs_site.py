"""The built documentation: every page has its place, nothing is missing, and nothing is fetched from the web."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[1] / "docs"
PAGES = [p.relative_to(DOCS) for p in sorted(DOCS.rglob("*.md")) if "_build" not in p.parts]


def entries(page: Path) -> list[Path]:
    """The pages in the tables of contents of a page."""
    found = []
    for block in re.findall(r"^```\{toctree\}\n(.*?)^```", (DOCS / page).read_text(), flags=re.M | re.S):
        names = [line for line in block.splitlines() if line and not line.startswith(":")]
        names = [name.partition("<")[2].rstrip(">") or name for name in names]  # title <name>, or the name alone
        found += [page.parent / f"{name}.md" for name in names]
    return found


def test_every_page_is_in_one_table_of_contents():
    listed = [entry for page in PAGES for entry in entries(page)]
    assert sorted(listed) == sorted(page for page in PAGES if page.name != "index.md" or page.parent.name == "api")


def test_titles_are_single_and_first():
    for page in PAGES:
        text = re.sub(r"^```.*?^```", "", (DOCS / page).read_text(), flags=re.M | re.S)
        titles = re.findall(r"^# .+", text, flags=re.M)
        if "{include}" in (DOCS / page).read_text():
            assert not titles, f"{page}: the title is that of the included page"
        else:
            assert len(titles) == 1 and text.lstrip().startswith(titles[0]), page


@pytest.mark.slow
def test_it_builds_without_a_warning_and_fetches_nothing(tmp_path):
    pytest.importorskip("furo", reason="needs the extra `docs`")
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-b", "html", "-d", str(tmp_path / "trees")]
    # a proxy that is not there: whatever asks the web fails
    nowhere = {"http_proxy": "http://127.0.0.1:9", "https_proxy": "http://127.0.0.1:9"}
    run = subprocess.run(
        [*command, str(DOCS), str(tmp_path / "html")],
        env=clean_environment() | nowhere,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert run.returncode == 0, run.stderr
    for page in PAGES:
        assert (tmp_path / "html" / page.with_suffix(".html")).is_file()
    for page in (tmp_path / "html").rglob("*.html"):
        text = page.read_text()
        loaded = re.findall(r"<(?:script|img|iframe|source|video)\b[^>]*?\bsrc=[\"']([^\"']+)", text)
        loaded += re.findall(r"<link\b(?![^>]*rel=\"(?:canonical|author|license)\")[^>]*?\bhref=[\"']([^\"']+)", text)
        assert not [name for name in loaded if re.match(r"(?:https?:)?//", name)], page.name
    for sheet in (tmp_path / "html").rglob("*.css"):
        assert not re.search(r"@import|url\([\"']?(?:https?:)?//", sheet.read_text()), sheet.name
    assert "<math" in (tmp_path / "html" / "tasks.html").read_text()
    reference = (tmp_path / "html" / "api" / "synthanom.html").read_text()
    for name in ("synthanom.Sample.from_array", "synthanom.synthesise", "synthanom.replay"):
        assert f'id="{name}"' in reference


def clean_environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}
