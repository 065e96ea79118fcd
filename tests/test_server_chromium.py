"""The department's pages in a real browser: readable for everybody, on a laptop and on a phone.

`python -m tests.test_server_chromium` writes the pictures of docs/pictures anew.
"""

import json
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import axe_core_python
import pytest

from tests.busy_department import LISTED, a_busy_department
from tests.chromium import PROGRAM, Chromium, chromium
from tests.departments import PASSWORD, ROOT, running

pytestmark = pytest.mark.skipif(PROGRAM is None, reason="Chromium is not installed: apt-get install chromium")

LAPTOP, PHONE = (1280, 900), (390, 844)
PAGES = {
    "units": "/units",
    "unit": "/units/unit-03",
    "hits": "/hits",
    "accuracy": "/hits/accuracy",
    "corrections": "/hits/corrections",
    "sample": "/hits/sample",
    "reads": "/reads",
    "canvass": "/reads/canvass",
    "convoy": "/reads/convoy",
    "hotlists": "/hotlists",
    "feed": "/hotlists/feeds/svs",
    "entries": "/hotlists/find",
    "urgent": "/hotlists/urgent",
    "local": "/hotlists/local",
    "lists-on-units": "/hotlists/units",
    "import": "/hotlists/import",
    "releases": "/releases",
    "release": "/releases/enter",
    "recipients": "/recipients",
    "retention": "/retention",
    "plan": "/retention/plan",
    "holds": "/holds",
    "evidence": "/evidence",
    "accounts": "/accounts",
    "account": "/account",
    "audit": "/audit",
    "reports": "/audit/reports",
    "audit-sample": "/audit/sample",
    "policy": "/policy",
    "transparency": "/transparency",
}
"""Those that an address leads to, by the name of their picture."""
PICTURES = ("units", "hits", "read", "search", "accuracy", "hotlists", "retention", "accounts", "audit")
_AXE = (Path(axe_core_python.__file__).parent / "axe.min.js").read_text(encoding="utf-8")
_RULES = '{"runOnly": {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]}}'


@contextmanager
def served(folder: Path) -> Iterator[tuple[Chromium, str]]:
    """Give a browser that is logged in, with a purpose stated, and the address of the pages."""
    with ExitStack() as stack:
        department = a_busy_department(folder, datetime.now(UTC))
        stack.callback(department.engine.dispose)
        server = stack.enter_context(running(department, folder / "log"))
        browser = stack.enter_context(chromium())
        log_in(browser, server.people_url, "adeyemi")
        yield browser, server.people_url


def log_in(browser: Chromium, address: str, name: str) -> None:
    """Log in and say why."""
    browser.open(f"{address}/login")
    _fill(browser, name=name, password=PASSWORD)
    browser.run("document.querySelector('main form button').click()")
    browser.until("location.pathname === '/units' && document.readyState === 'complete'")
    browser.open(f"{address}/purpose")
    browser.run("document.querySelector('main [name=code][value=stolen-vehicle]').checked = true")
    _fill(browser, case_number="26-0042")
    browser.run("document.querySelector('main form button').click()")
    browser.until("location.pathname === '/reads' && document.readyState === 'complete'")


def _fill(browser: Chromium, **fields: str) -> None:
    for name, value in fields.items():
        browser.run(f"document.querySelector('main [name={name}]').value = {json.dumps(value)}")


def search(browser: Chromium, address: str) -> None:
    """Look for a listed plate."""
    browser.open(f"{address}/reads")
    _fill(browser, plate=LISTED[0])
    browser.run("document.querySelector('form.search button').click()")
    browser.until("document.readyState === 'complete' && document.body.innerText.includes('Reads found')")


def open_first_read(browser: Chromium, address: str) -> None:
    """Look at one that is a hit."""
    search(browser, address)
    browser.run("document.querySelector('tr.has-hit a.button').click()")
    browser.until("location.pathname.startsWith('/reads/') && document.readyState === 'complete'")


OTHERS = {"read": open_first_read, "search": search}
"""Those that a form leads to."""


def show(browser: Chromium, address: str, name: str) -> None:
    """Go to the page of that name."""
    if name in PAGES:
        browser.open(f"{address}{PAGES[name]}")
        assert browser.run("location.pathname") == PAGES[name].partition("?")[0], name
    else:
        OTHERS[name](browser, address)


@pytest.fixture(scope="module")
def open_pages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Chromium, str]]:
    with served(tmp_path_factory.mktemp("pages")) as given:
        yield given


@pytest.mark.parametrize("name", [*PAGES, *OTHERS])
def test_a_page_is_for_everybody_on_every_screen(open_pages: tuple[Chromium, str], name: str) -> None:
    browser, address = open_pages
    browser.said.clear()
    show(browser, address, name)
    problems: list[str] = []
    for width, height in (LAPTOP, PHONE):
        browser.picture(width, height)
        if (wide := browser.run("document.documentElement.scrollWidth")) > width:
            problems.append(f"at {width} px it is {wide} px wide")
        problems += wrongs(browser)
    assert problems == []
    assert browser.said == []
    assert browser.run("document.querySelectorAll('h1').length") == 1


def test_the_check_finds_what_is_hard_to_read(open_pages: tuple[Chromium, str]) -> None:
    browser, address = open_pages
    show(browser, address, "units")
    browser.run("document.querySelector('h1').style.color = '#dddddd'")
    browser.run("document.querySelector('main').insertAdjacentHTML('beforeend', '<input name=x>')")
    found = " ".join(wrongs(browser))
    assert "color-contrast" in found and "label" in found


def wrongs(browser: Chromium) -> list[str]:
    """Return what axe finds against WCAG 2.1 AA, a line each."""
    browser.run(_AXE)
    browser.run(f"window.found = null; axe.run(document, {_RULES}).then(all => {{ window.found = all }})")
    browser.until("window.found !== null")
    told = "rule.id + ': ' + node.html.slice(0, 160)"
    lines = browser.run(f"window.found.violations.flatMap(rule => rule.nodes.map(node => {told}))")
    return [str(line) for line in lines]


def main() -> None:
    """Write the pictures, or with a folder named all pages into it, as on a laptop and a phone."""
    with tempfile.TemporaryDirectory() as name, served(Path(name)) as (browser, address):
        if len(sys.argv) > 1:
            for page in (*PAGES, *OTHERS):
                show(browser, address, page)
                for kind, size in (("laptop", LAPTOP), ("phone", PHONE)):
                    (Path(sys.argv[1]) / f"{page}-{kind}.png").write_bytes(browser.picture(*size))
            return
        folder = ROOT / "docs" / "pictures"
        for page in PICTURES:
            show(browser, address, page)
            (folder / f"server-{page}.png").write_bytes(browser.picture(*LAPTOP))


if __name__ == "__main__":
    main()
