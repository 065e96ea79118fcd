"""The pages say what is there, and what they point at exists."""

import re
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import typer

ROOT = Path(__file__).parents[1]
OURS = ("camera", "recognizer", "hotlist_cache", "sync", "edge", "server")
PAGES = sorted(
    path
    for path in (*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("models/**/*.md"))
    if not path.is_symlink()
)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


def commands(program: str) -> list[str]:
    """Every command of *program* that does something, written out: "alpr-edge models list"."""
    module = import_module({"alpr-edge": "edge.cli", "alpr-server": "server.cli"}[program])
    found: list[str] = []

    def walk(command: Any, words: str) -> None:  # typer brings its own click, or uses the other: either class
        inner: dict[str, Any] = getattr(command, "commands", {})
        if not inner:
            found.append(words)
        for name, each in inner.items():
            if not each.hidden:
                walk(each, f"{words} {name}")

    walk(typer.main.get_command(module.app), program)
    return found


def prose() -> str:
    return "\n".join(path.read_text(encoding="utf-8") for path in PAGES)


def headings(path: Path) -> set[str]:
    """The anchors a page's headings have where such pages are shown."""
    lines = re.findall(r"^#+\s+(.+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", line.lower()).strip().replace(" ", "-") for line in lines}


@pytest.mark.parametrize("program", ["alpr-edge", "alpr-server"])
def test_every_command_is_documented(program: str) -> None:
    documented = prose()
    named = commands(program)
    assert len(named) >= 5
    assert [words for words in named if f"`{words}" not in documented] == []


@pytest.mark.parametrize("program", ["alpr-edge", "alpr-server"])
def test_no_command_is_documented_that_does_not_exist(program: str) -> None:
    page = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
    documented = re.findall(rf"^\| `({program} [a-z -]+)` \|", page, re.MULTILINE)
    assert sorted(documented) == sorted(commands(program))


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    broken = []
    for link in LINK.findall(page.read_text(encoding="utf-8")):
        if link.startswith(("https://", "mailto:")):
            continue
        target, _, anchor = link.partition("#")
        path = (page.parent / target).resolve() if target else page
        if not path.exists() or (anchor and anchor not in headings(path)):
            broken.append(link)
    assert broken == []


def glossary() -> list[str]:
    rows = re.findall(r"^\| ([a-z][^|]*?) \|", (ROOT / "docs/glossary.md").read_text(), re.MULTILINE)
    return [row for row in rows if row.lower() != "word"]


@pytest.mark.parametrize("word", glossary())
def test_every_word_of_the_glossary_is_used_in_the_code(word: str) -> None:
    code = "\n".join(
        path.read_text(encoding="utf-8") for folder in OURS for path in ROOT.glob(f"{folder}/**/*.py")
    )
    # Spelt as text, as a name or as a class: look-alike, look_alike, LookAlike.
    spelt = re.sub(r"[ -]", "[ _-]?", word)
    assert re.search(spelt, code, re.IGNORECASE), f"{word!r} stands in the glossary alone"


def test_pages_name_no_machine_of_ours() -> None:
    assert not re.search(r"(?<![\w.])/(?:work|tmp|home|root)/", prose())


def test_accuracy_in_the_readme_is_what_the_manifest_holds() -> None:
    from recognizer.manifest import load_pack

    [row] = [m for m in load_pack("builtin").accuracy if (m.stage, m.set) == ("end to end", "all")]
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert f"On {row.samples} real full frames" in text
    assert f"{100 * row.figures['exact']:.1f} % of the plates" in text
    assert f"({100 * row.figures['exact_folded']:.1f} % with O/0" in text
