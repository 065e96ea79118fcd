"""The page in a real browser: its script runs under its own policy, alerts come, the screen locks."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from edge.page import PageServer
from edge.page_config import PageConfig
from tests.chromium import PROGRAM, Chromium, chromium
from tests.departments import a_department, a_unit
from tests.pages import PASSWORD, Page, an_alert

pytestmark = pytest.mark.skipif(PROGRAM is None, reason="Chromium is not installed: apt-get install chromium")


@contextmanager
def served(folder: Path) -> Iterator[tuple[Page, str]]:
    """Give a page that is really served, and its address."""
    department = a_department(folder / "department")
    keys = a_unit(department, folder / "unit").keys
    department.engine.dispose()
    (folder / "state").mkdir()
    page = Page(folder / "state", PageConfig(port=0))
    server = PageServer(page.desk, keys / "page.tls.cert.pem", keys / "page.tls.key.pem")
    stopping = threading.Event()
    thread = threading.Thread(target=server.run, args=(lambda: None, stopping.is_set))
    thread.start()
    try:
        for _ in range(200):
            if server.port:
                break
            threading.Event().wait(0.05)
        yield page, f"https://localhost:{server.port}"
    finally:
        stopping.set()
        thread.join(30)
        page.close()


def log_in(browser: Chromium, address: str, name: str = "reyes") -> None:
    browser.open(f"{address}/login")
    browser.run(f"document.getElementById('name').value = '{name}'")
    browser.run(f"document.getElementById('password').value = '{PASSWORD}'")
    browser.run("document.querySelector('form button').click()")
    browser.until("location.pathname === '/now' && document.readyState === 'complete'")


def test_an_alert_comes_to_the_screen_by_itself_and_is_answered_and_the_screen_locks(tmp_path: Path) -> None:
    with served(tmp_path) as (page, address), chromium() as browser:
        log_in(browser, address)
        assert "No hit in this shift" in browser.run("document.body.innerText")
        page.show([an_alert("8ABC0I2", "8ABC012")])
        browser.until("document.body.innerText.includes('UNVERIFIED: CHECK CLETS')")
        assert browser.run("document.querySelectorAll('.differs').length") == 2
        colour = "getComputedStyle(document.querySelector('.differs')).backgroundColor"
        browser.until(f"{colour} === 'rgb(194, 58, 40)'")  # the style sheet is in force

        browser.run("document.querySelector('button[value=same]').click()")
        browser.until(
            "document.querySelector('button.chosen') !== null && document.readyState === 'complete'"
        )
        assert page.entries()[-2].detail["rung"] == "plate"

        browser.press("5")
        browser.until("location.pathname === '/status' && document.readyState === 'complete'")
        page.show([an_alert("7XYZ111"), *page.board.shown.alerts])
        browser.until("!document.getElementById('news').hidden")

        page.clock.advance(31 * 60)
        browser.until("location.pathname === '/unlock' && document.readyState === 'complete'")
        browser.until("document.body.innerText.includes('your session waits where you left it')")
        assert "7XYZ111" not in browser.run("document.body.innerText")
        assert browser.said == []


def test_what_is_typed_is_not_lost_to_an_alert(tmp_path: Path) -> None:
    with served(tmp_path) as (page, address), chromium() as browser:
        log_in(browser, address)
        first = an_alert("8ABC012")
        page.show([first])
        browser.until(
            "document.body.innerText.includes('8ABC012') || document.querySelector('.chars') !== null"
        )
        browser.run("document.querySelector('button[value=misread]').click()")
        browser.until("document.getElementById('reason') !== null")
        browser.run("document.getElementById('reason').value = 'a grey truck'")
        page.show([an_alert("7XYZ111"), *page.board.shown.alerts])
        browser.until("!document.getElementById('news').hidden")
        assert browser.run("document.getElementById('reason').value") == "a grey truck"
