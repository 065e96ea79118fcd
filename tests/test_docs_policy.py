"""The page that says what the policies ask names tests that exist, and leaves no line without an answer."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "policy.md").read_text(encoding="utf-8")
ROWS = [
    [cell.strip() for cell in line.strip("|").split(" | ")]
    for line in PAGE.splitlines()
    if line.startswith("| ") and not line.startswith("| line |")
]
NAMED = sorted(set(re.findall(r"`(test_\w+\.py)::(\w+)`", PAGE)))
LINES = (
    *(f"D .03 {letter}" for letter in "ABCDEF"),
    *("D .04", "D .05 A", "D .05 B", "D .05 D", "D .05 E"),
    *(f"PA .2({letter})" for letter in "acdef"),
    *("PA .3", "PA .4(a)", "PA .4(b)", "PA .4(c)", "PA .5", "PA .6", "PA .7"),
    *(f"1798.90.51 (b)(2)({letter})" for letter in "ABCDEFG"),
    *("1798.90.52 (a)", "1798.90.55", "1798.29", "34090.6", "2413(b)"),
    *("SC-28", "AU-2", "AU-3", "AC-2", "AC-8", "AC-11"),
)


@cache
def names_in(file: str) -> frozenset[str]:
    path = ROOT / "tests" / file
    if not path.exists():
        return frozenset()
    nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    return frozenset(node.name for node in nodes if isinstance(node, ast.FunctionDef))


@pytest.mark.parametrize(("file", "name"), NAMED)
def test_each_test_that_the_page_names_exists(file: str, name: str) -> None:
    assert name in names_in(file)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_each_line_is_shown_by_a_test_or_says_that_it_is_not_there_yet(row: list[str]) -> None:
    assert len(row) == 4
    assert "::" in row[3] or "**not yet**" in row[2].lower()


@pytest.mark.parametrize("line", LINES)
def test_no_line_of_policies_and_law_is_left_out(line: str) -> None:
    assert [row for row in ROWS if line in row[0]]


def test_what_is_tested_is_not_said_to_be_missing() -> None:
    """Release requests and evidence packages: when their tests come, this page must be told."""
    for file, words in (
        ("test_server_releases.py", "release requests"),
        ("test_server_evidence_package.py", "evidence package"),
    ):
        said = [row for row in ROWS if "**not yet**" in row[2].lower() and words in row[2].lower()]
        assert bool(said) is not (ROOT / "tests" / file).exists(), words
