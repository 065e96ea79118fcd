"""What units are told of retention: how long they themselves can find reads, in a signed profile.

The profile is a target of the publication, which two persons sign (docs/commands.md, `alpr-server updates`).
What it may say is in `sync.profile`.
"""

from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from server.actors import Actor, recorded
from server.department import Department
from server.errors import RetentionRefusedError
from server.retention_rules import rule_in_force
from server.retention_values import Rule, unit_profile
from sync.trust_values import PROFILE_KIND, Label

PROFILE_PATH = "profiles/retention.toml"


def draft_profile(department: Department, *, actor: Actor, now: datetime) -> Rule:
    """Draft that units are told what the rule in force says of them; two persons then sign the draft.

    Raises RetentionRefusedError if no rule in force says anything to units; RepositoryRefusedError if they
    are told it already.
    """
    detail: dict[str, object] = {"path": PROFILE_PATH}
    with recorded(department.engine, actor, "retention.profile", detail, now) as connection:
        rule = rule_in_force(connection, now)
        text = "" if rule is None else unit_profile(rule.window, rule.window_others)
        if rule is None or not text:
            raise RetentionRefusedError(
                "the rules in force say nothing of units: propose one with --unit-window or --unit-others"
            )
        detail["rule"] = rule.rule_id
        with TemporaryDirectory() as folder:
            file = Path(folder) / "retention.toml"
            file.write_text(text, "utf-8")
            label = Label(PROFILE_KIND, rule.rule_id)
            department.publications.repository.put_target(PROFILE_PATH, file, label, now)
    return rule
