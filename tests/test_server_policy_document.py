"""The published policy: of the live configuration, and plain about what is missing."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import insert

from server.access import Role
from server.database import reading, writing
from server.department import Department
from server.errors import SettingsInvalidError
from server.policy_document import ROLES, as_html, as_markdown, policy_of
from server.purposes import PURPOSES
from server.release_tables import release_recipient_steps, release_recipients
from server.settings import AccessSettings, PolicySettings, RetentionSettings, read_settings
from server.tables import hotlist_feeds
from tests.departments import a_department

NOW = datetime(2026, 3, 2, tzinfo=UTC)
FILLED = PolicySettings(
    custodian_title="Support services captain",
    custodian_contact="custodian@example.org",
    job_titles="Police officers, community service officers",
    training="four hours, every two years",
    sharing="Example County District Attorney",
    retention="the custodian, with the city attorney's consent",
    council_approval="City Council, resolution 26-001",
    effective_from="2026-03-01",
    website="https://example.org/policy",
)


@pytest.fixture
def department(tmp_path: Path) -> Iterator[Department]:
    made = a_department(tmp_path / "department")
    yield made
    made.engine.dispose()


def policy(
    department: Department, chosen: PolicySettings | None = None, access: AccessSettings | None = None
) -> str:
    settings = replace(
        department.settings, policy=chosen or PolicySettings(), access=access or AccessSettings()
    )
    with reading(department.engine) as connection:
        return as_markdown(policy_of(connection, settings, NOW))


@pytest.mark.parametrize("letter", "ABCDEFG")
def test_each_letter_of_the_law_has_its_section(department: Department, letter: str) -> None:
    assert f"(Cal. Civ. Code 1798.90.51 (b)(2)({letter}))" in policy(department)


def test_the_policy_says_what_is_configured(department: Department) -> None:
    made = policy(
        department, access=AccessSettings(idle_timeout_min=17, lockout_failures=3, idle_account_days=60)
    )
    assert "A session ends after 17 minutes" in made
    assert "3 wrong passwords" in made and "unused for 60 days" in made
    assert all(kind.label in made for kind in PURPOSES)
    assert all(f"- {role.value}: " in made for role in Role)


def test_every_role_is_described() -> None:
    assert [role for role in Role if role.value not in ROLES] == []


def test_the_policy_names_the_sources_of_the_lists_in_force(department: Department) -> None:
    assert "none is in force" in policy(department)
    with writing(department.engine) as connection:
        rows = [("svs-of-officer-reyes", "clew"), ("local", None), ("x", "no such source")]
        connection.execute(
            insert(hotlist_feeds),
            [{"feed": feed, "source": source, "entries": 1, "imported_at": NOW} for feed, source in rows],
        )
    made = policy(department)
    assert "California Department of Justice" in made and "entries of this department's own officers" in made
    assert "reyes" not in made and "no such source" not in made


def test_what_is_missing_is_said_in_brackets_and_not_invented(department: Department) -> None:
    with reading(department.engine) as connection:
        made = policy_of(connection, department.settings, NOW)
    assert len(made.missing) == 9
    text = as_markdown(made)
    assert (
        "[Not stated: title of the official custodian. Set it in the section policy of server.toml.]" in text
    )
    assert "[Not stated: approval by the governing body." in text


def test_nothing_is_missing_once_it_is_stated(department: Department) -> None:
    made = policy(department, FILLED)
    assert "[Not stated" not in made
    for name in FILLED.__slots__:
        assert getattr(FILLED, name) in made


def test_what_is_stated_is_no_markup(department: Department) -> None:
    chosen = replace(FILLED, custodian_title="# <b>Chief</b>\n## of *all*")
    made = policy(department, chosen)
    assert "\\# \\<b\\>Chief\\</b\\> \\#\\# of \\*all\\*" in made
    settings = replace(department.settings, policy=chosen)
    with reading(department.engine) as connection:
        page = as_html(policy_of(connection, settings, NOW), "Example Police")
    assert "&lt;b&gt;Chief" in page and "<b>" not in page


def test_the_page_needs_no_other_file(department: Department) -> None:
    with reading(department.engine) as connection:
        page = as_html(policy_of(connection, department.settings, NOW), "Example Police")
    assert "<style>" in page and "/static/" not in page and "<script" not in page and "/logout" not in page


@pytest.mark.parametrize(
    ("line", "named"),
    [
        ("[policy]\ncustodian = 'x'", "custodian"),
        ("[policy]\ncustodian_title = 3", "custodian_title"),
        ("[audit]\ntimezone = 'Mars/Olympus'", "timezone"),
        ("[audit]\ntimezone = '../etc/passwd'", "timezone"),
        ("[audit]\nnight_from_hour = 24", "night_from_hour"),
        ("[audit]\ncheckpoint_entries = 0", "checkpoint_entries"),
    ],
)
def test_a_wrong_setting_of_audit_or_policy_is_named(tmp_path: Path, line: str, named: str) -> None:
    path = tmp_path / "server.toml"
    path.write_text(line)
    with pytest.raises(SettingsInvalidError, match=named):
        read_settings(path)


def test_a_new_departments_file_has_every_setting_of_both_sections(department: Department) -> None:
    written = department.folder.settings.read_text()
    for name in (*PolicySettings.__slots__, *type(department.settings.audit).__slots__):
        assert f"\n{name} = " in written


def test_the_policy_says_how_long_reads_are_kept(department: Department) -> None:
    rules = RetentionSettings(other_reads_days=400, hits_days=1000)
    settings = replace(department.settings, retention=rules)
    with reading(department.engine) as connection:
        made = as_markdown(policy_of(connection, settings, NOW))
    assert "kept for 1000 days, all others for 400 days" in made and "after 365 days" in made


def test_the_policy_names_the_agencies_that_may_be_given_reads(department: Department) -> None:
    assert "list of recipients: none." in policy(department)
    with writing(department.engine) as connection:
        for number, (name, steps) in enumerate(
            [
                ("Kept", ["approved"]),
                ("Struck off", ["approved", "disabled"]),
                ("Waiting", []),
                ("Our property room", ["approved"]),
            ],
            1,
        ):
            connection.execute(
                insert(release_recipients).values(
                    recipient_id=number,
                    name=name,
                    kind="this department" if name.startswith("Our") else "law enforcement",
                    state="CA",
                    contact="",
                    certificate="",
                    certificate_sha256="",
                    added_by="reyes",
                    added_at=NOW,
                )
            )
            for at, step in enumerate(steps, 1):
                row = {"recipient_id": number, "number": at, "step": step, "done_by": "chief", "note": ""}
                connection.execute(insert(release_recipient_steps).values(done_at=NOW, **row))
    made = policy(department)
    assert "list of recipients: Kept." in made and "Agencies outside of CA" in made
    assert "are not given data" in made
