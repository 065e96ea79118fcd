"""The usage and privacy policy that Cal. Civ. Code 1798.90.51 (b) wants published, of the live configuration.

Each section answers one letter of paragraph (b)(2). What the configuration knows is said as it is set; what
it cannot know comes from `[policy]`, and where that is empty the document says in brackets what is missing.
"""

from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import Connection, select

from server.access import Role
from server.audit_outliers import BASELINE_DAYS
from server.durations import spoken
from server.purposes import PURPOSES
from server.release_recipients import AgencyKind
from server.release_tables import release_recipient_steps, release_recipients
from server.retention_rules import in_force, rule_in_force
from server.retention_values import Rules
from server.settings import Settings
from server.tables import hotlist_feeds
from server.web import page

SOURCES = {
    "clew": "California Department of Justice: stolen vehicles, felony vehicles, stolen plates",
    "ncic": "FBI, National Crime Information Center: licence plate reader extract",
    "texas": "State of Texas: stolen vehicles and plates",
    "florida": "State of Florida: stolen vehicles and plates",
    "washington": "State of Washington: wanted vehicles",
    "new-york": "State of New York: wanted vehicles",
    "csv": "a list of this department or of another agency, brought as a file",
}
"""Where lists come from, in words that may be published. A feed's own name may say more than that."""
OWN_ENTRIES = "entries of this department's own officers, each with purpose, case number and end"

ROLES = {
    "admin": "administers accounts, units and lists; sees reads and the access log",
    "officer": "searches and sees reads, after stating a purpose",
    "auditor": "sees the access log, and reads after stating a purpose",
    "supervisor": "searches and sees reads, and approves what officers ask for",
    "records": "handles release requests and evidence",
    "technician": "checks the equipment",
}


@dataclass(frozen=True, slots=True)
class Section:
    """One part of the document."""

    letter: str
    """Of 1798.90.51 (b)(2), "" for what that does not ask for."""
    title: str
    paragraphs: tuple[str, ...]
    points: tuple[str, ...] = ()
    """A list after the paragraphs."""


@dataclass(frozen=True, slots=True)
class Policy:
    """The document."""

    title: str
    made_on: date
    sections: tuple[Section, ...]

    @property
    def missing(self) -> tuple[str, ...]:
        """What a person has still to fill in, as the document says it in brackets."""
        texts = [text for each in self.sections for text in (*each.paragraphs, *each.points)]
        return tuple(text for text in texts if "[Not stated" in text)


def list_sources(connection: Connection) -> tuple[str, ...]:
    """Return where the lists in force come from, in words that may be published."""
    found = set()
    for row in connection.execute(select(hotlist_feeds.c.feed, hotlist_feeds.c.source)):
        local = row.feed in ("local", "urgent-local")
        found.add(OWN_ENTRIES if local else SOURCES.get(row.source or "csv", SOURCES["csv"]))
    return tuple(sorted(found))


def policy_of(connection: Connection, settings: Settings, now: datetime) -> Policy:
    """Return the policy as the department is configured at *now*."""
    sections = (
        _about(settings),
        _purposes(connection),
        _people(settings),
        _monitoring(settings),
        _sharing(connection, settings),
        _custodian(settings),
        _accuracy(settings),
        _retention(connection, settings, now),
    )
    name = settings.department.name
    return Policy(f"{name}: usage and privacy policy for licence plate readers", now.date(), sections)


def as_markdown(policy: Policy) -> str:
    """Return the document as Markdown."""
    lines = [f"# {_escaped(policy.title)}", "", f"As configured on {policy.made_on.isoformat()}.", ""]
    for each in policy.sections:
        letter = f" (Cal. Civ. Code 1798.90.51 (b)(2)({each.letter}))" if each.letter else ""
        lines += [f"## {each.title}{letter}", ""]
        for paragraph in each.paragraphs:
            lines += [_escaped(paragraph), ""]
        lines += [f"- {_escaped(point)}" for point in each.points]
        if each.points:
            lines.append("")
    return "\n".join(lines)


def as_html(policy: Policy, department: str) -> str:
    """Return the document as one page that needs no other file."""
    made = page("policy.html", policy=policy, session=None, department=department)
    return bytes(made.body).decode("utf-8")


def _about(settings: Settings) -> Section:
    chosen = settings.policy
    return Section(
        "",
        "About this policy",
        (
            f"{settings.department.name} operates cameras in vehicles that read licence plates. This policy "
            "says for what they are used, by whom, and what protects the privacy of everybody whose plate is "
            "read. A read says that a plate was seen; it does not say who drove. A plate that meets a list "
            "is a lead and must be verified before anybody acts on it.",
            _given(chosen.council_approval, "Approved by: {}.", "approval by the governing body"),
            _given(chosen.effective_from, "In force from {}.", "the day from which it is in force"),
            _given(chosen.website, "Published at {}.", "where it is published"),
        ),
    )


def _purposes(connection: Connection) -> Section:
    sources = list_sources(connection)
    return Section(
        "A",
        "Authorised purposes",
        (
            "Licence plate readers and what they read are used for official law-enforcement purposes only. "
            "Nobody is shown a read before stating one of the purposes below; where it says so, with a case "
            "number. The purpose is recorded with every access.",
            "Plates are compared with lists of wanted plates from these sources: "
            + ("; ".join(sources) if sources else "none is in force")
            + ".",
        ),
        tuple(kind.label + (", with a case number" if kind.needs_case else "") for kind in PURPOSES),
    )


def _people(settings: Settings) -> Section:
    access, chosen = settings.access, settings.policy
    return Section(
        "B",
        "Who is authorised, and their training",
        (
            _given(
                chosen.job_titles, "Accounts are given to: {}.", "job titles of those who are given accounts"
            ),
            _given(chosen.training, "Training: {}.", "what the training is, and how often it is taken"),
            "Each account carries the day on which its holder's training lapses. From that day the account "
            f"cannot log in. An account unused for {access.idle_account_days} days is closed too.",
            "What the accounts may do:",
        ),
        tuple(f"{role.value}: {ROLES.get(role.value, 'as the department decides')}" for role in Role),
    )


def _monitoring(settings: Settings) -> Section:
    access, checked = settings.access, settings.audit
    return Section(
        "C",
        "Monitoring, security and compliance",
        (
            "Every login, search and look at a read, every export and every look at the access log itself is "
            "recorded with name, time, purpose and network address, also when it was refused. The log is "
            "only ever appended to. Each entry is bound to the one before, and the newest is signed after "
            f"every {checked.checkpoint_entries} entries and at least every {checked.checkpoint_hours} "
            "hours, so that a later change shows.",
            "Audits: queries are drawn at random and judged by a person other than who made them; unusual "
            f"use is looked for against the {BASELINE_DAYS} days before (many searches, nights, the same "
            "plate again and again, no case number).",
        ),
        (
            "Reads are encrypted on the vehicle's equipment as they are made; only the department can open "
            "them.",
            "Vehicles and server know each other by certificates; what travels is encrypted and signed.",
            f"A session ends after {access.idle_timeout_min} minutes without use, and after "
            f"{access.session_hours} hours in any case.",
            f"{access.lockout_failures} wrong passwords lock an account for {access.lockout_min} minutes.",
            f"A stated purpose holds for {access.purpose_min} minutes, then it is asked for again.",
        ),
    )


def recipients(connection: Connection) -> tuple[str, ...]:
    """Return the names of the agencies that may be given reads now: approved, and not struck off since."""
    steps, table = release_recipient_steps, release_recipients
    state = {
        row.recipient_id: row.step for row in connection.execute(select(steps).order_by(steps.c.number)).all()
    }
    rows = connection.execute(
        select(table.c.recipient_id, table.c.name).where(table.c.kind != AgencyKind.OWN.value)
    )
    return tuple(sorted({row.name for row in rows if state.get(row.recipient_id) == "approved"}))


def _sharing(connection: Connection, settings: Settings) -> Section:
    rules, named = settings.release, recipients(connection)
    elsewhere = "may be given data" if rules.out_of_state else "are not given data"
    return Section(
        "D",
        "Sale, sharing and transfer",
        (
            "What is read is not sold. It is given to public agencies alone, for law-enforcement purposes or "
            "for prosecution, and only on a request that says which agency and person asks, why, and by what "
            "law. Requests are kept in a register. Nobody approves a request that they entered themselves.",
            f"Agencies outside of {rules.state}, of other states or of the federation, {elsewhere}.",
            "Agencies on the list of recipients: " + ("; ".join(named) if named else "none") + ".",
            _given(
                settings.policy.sharing,
                "Agencies that are given data as a rule: {}.",
                "which agencies are given data as a rule, and under what agreement",
            ),
        ),
    )


def _custodian(settings: Settings) -> Section:
    chosen = settings.policy
    return Section(
        "E",
        "Official custodian",
        (
            _given(chosen.custodian_title, "Custodian: {}.", "title of the official custodian"),
            _given(chosen.custodian_contact, "Contact: {}.", "how the custodian is reached"),
        ),
    )


def _accuracy(settings: Settings) -> Section:
    share = settings.hotlist.least_share_percent
    return Section(
        "F",
        "Accuracy and correction of errors",
        (
            "Each read is kept with the picture of the plate and with how sure the reader was of every "
            "single character. A read that later pictures contradict is corrected, and both are kept.",
        ),
        (
            "Every alert is told as unverified: plate, state and vehicle are to be compared, and the listing "
            "checked, before anybody acts on it.",
            "A plate of which the state is not sure is told as such.",
            "The age of the list is kept with each hit, and an alert from a list that is too old says so.",
            f"A list that would keep less than {share} percent of its entries waits for a second person.",
            "A known false hit can be suppressed, by an officer and a supervisor together and for a time.",
            "Who finds an error tells the custodian, who has the list's source correct it.",
        ),
    )


def kept(rules: Rules) -> str:
    """Return in words how long reads are kept."""
    return (
        f"Reads that met a list of wanted plates are kept for {spoken(rules.hits)}, all others for "
        f"{spoken(rules.others)}. Nothing is destroyed sooner than after {spoken(rules.floor)} "
        f"({rules.law})."
    )


def _retention(connection: Connection, settings: Settings, now: datetime) -> Section:
    rule = rule_in_force(connection, now)
    by_itself = (
        "Reads that are no hits are destroyed by the server itself when their time is over, by a rule that "
        "two persons decided on, with a certificate for each day."
        if rule is not None and rule.purges_by_itself
        else ""
    )
    return Section(
        "G",
        "Retention and destruction",
        (
            "Vehicles hand what they read to the department within 30 days, and delete it only after the "
            "department's signed receipt.",
            kept(in_force(connection, settings.retention, now)),
            *([by_itself] if by_itself else []),
            "What is older is destroyed when one person asks for it with the reference of a written approval "
            "and another person approves. What a legal hold names stays. A signed certificate says what was "
            "destroyed, when and by whose decision.",
            _given(
                settings.policy.retention,
                "Who decides: {}.",
                "who decides if and when reads are destroyed",
            ),
        ),
    )


def _given(value: str, words: str, what: str) -> str:
    value = value.strip().rstrip(".")
    return (
        words.format(value)
        if value
        else f"[Not stated: {what}. Set it in the section policy of server.toml.]"
    )


def _escaped(text: str) -> str:
    """Return *text* so that Markdown takes none of it for markup; brackets stay, for they are ours."""
    return "".join("\\" + c if c in "\\`*_#<>|" else c for c in " ".join(text.split()))
