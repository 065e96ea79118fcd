"""How long reads are kept: rules that one person proposes and another approves, in force from a moment.

    server.toml [retention]   in force until the first rule is, and again never
    proposed                  by one person, with the reference of what decided it (council, law)
    approved or refused       by another
    in force                  the approved rule whose moment came last
    stopped                   by anybody who may decide, at once: it purges nothing by itself any more

Nothing of it is ever changed or deleted.
"""

from dataclasses import asdict
from datetime import datetime, timedelta

from sqlalchemy import Connection, Engine, insert, select

from server.actors import Actor, recorded
from server.database import reading
from server.durations import spoken
from server.errors import RetentionRefusedError
from server.retention_clock import believe
from server.retention_tables import retention_rule_steps, retention_rules
from server.retention_values import (
    APPROVED,
    PROPOSED,
    REFUSED,
    STOPPED,
    Proposal,
    Rule,
    Rules,
    Step,
    of_settings,
    rules_by,
    unit_profile,
)
from server.settings import CALIFORNIA, RetentionSettings
from server.texts import retention_line


def propose(engine: Engine, proposal: Proposal, *, actor: Actor, now: datetime) -> int:
    """Put rules before another person, and return their number.

    Raises RetentionRefusedError if they go below the floor, or lack the reference of what decided them.
    """
    detail: dict[str, object] = {
        "others": spoken(proposal.others),
        "hits": spoken(proposal.hits),
        "law": proposal.law,
        "reference": proposal.reference,
        "automatic": proposal.automatic,
    }
    with recorded(engine, actor, "retention.propose", detail, now) as connection:
        reference = retention_line(
            "reference of what decided it (council resolution, law)", proposal.reference
        )
        law = retention_line("law", proposal.law or CALIFORNIA)
        _check(proposal, law)
        if any(each.state == PROPOSED for each in rules_in(connection)):
            raise RetentionRefusedError("another rule waits for approval: approve or refuse it first")
        in_force_at = proposal.in_force_at or now
        if in_force_at < now - timedelta(days=1):
            raise RetentionRefusedError("a rule comes into force now or later, never in the past")
        result = connection.execute(
            insert(retention_rules).values(
                others_s=_seconds(proposal.others),
                hits_s=_seconds(proposal.hits),
                law=law,
                automatic=proposal.automatic,
                window_s=_seconds(proposal.window),
                window_others_s=_seconds(proposal.window_others),
                reference=reference,
                in_force_at=in_force_at,
                proposed_by=actor.name,
                proposed_at=now,
            )
        )
        assert result.inserted_primary_key is not None
        detail["rule"] = rule_id = int(result.inserted_primary_key[0])
    return rule_id


def approve_rule(engine: Engine, rule_id: int, *, actor: Actor, now: datetime) -> None:
    """Put a rule in force that another person proposed.

    Raises RetentionRefusedError if it does not wait, *actor* proposed it, or it purges by itself and the
    server's clock is not to be believed.
    """
    with recorded(engine, actor, "retention.approve_rule", {"rule": rule_id}, now) as connection:
        rule = _waiting(connection, rule_id)
        if actor.is_person(rule.proposed_by):
            raise RetentionRefusedError(
                f"rule {rule_id} was proposed by {rule.proposed_by}: another person must approve it"
            )
        if rule.automatic:
            # From this moment the server's clock decides what goes: it must be right when it begins.
            believe(connection, now)
        _add_step(connection, rule, Step(APPROVED, actor.name, now, ""))


def refuse_rule(engine: Engine, rule_id: int, *, reason: str, actor: Actor, now: datetime) -> None:
    """Let a rule that waits never come into force; also who proposed it may.

    Raises RetentionRefusedError if it does not wait, or no reason is given.
    """
    detail: dict[str, object] = {"rule": rule_id, "reason": reason}
    with recorded(engine, actor, "retention.refuse_rule", detail, now) as connection:
        rule = _waiting(connection, rule_id)
        _add_step(connection, rule, Step(REFUSED, actor.name, now, retention_line("reason", reason)))


def stop_automatic(engine: Engine, rule_id: int, *, reason: str, actor: Actor, now: datetime) -> None:
    """Let the server purge nothing by itself by this rule any more. One person suffices: nothing goes by it.

    Raises RetentionRefusedError if it does not purge by itself, or no reason is given.
    """
    detail: dict[str, object] = {"rule": rule_id, "reason": reason}
    with recorded(engine, actor, "retention.stop", detail, now) as connection:
        rule = next((each for each in rules_in(connection) if each.rule_id == rule_id), None)
        if rule is None or not rule.purges_by_itself:
            raise RetentionRefusedError(f"rule {rule_id} purges nothing by itself")
        _add_step(connection, rule, Step(STOPPED, actor.name, now, retention_line("reason", reason)))


def all_rules(engine: Engine) -> list[Rule]:
    """Return every rule that was ever proposed, the newest first."""
    with reading(engine) as connection:
        return rules_in(connection)


def rules_in(connection: Connection) -> list[Rule]:
    """The same in the caller's transaction."""
    steps: dict[int, list[Step]] = {}
    table = retention_rule_steps
    for row in connection.execute(select(table).order_by(table.c.rule_id, table.c.number)):
        steps.setdefault(row.rule_id, []).append(Step(row.step, row.done_by, row.done_at, row.note))
    rows = connection.execute(select(retention_rules).order_by(retention_rules.c.rule_id.desc()))
    return [
        Rule(
            row.rule_id,
            rules_by(timedelta(seconds=row.others_s), timedelta(seconds=row.hits_s), row.law),
            row.automatic,
            row.reference,
            row.in_force_at,
            row.proposed_by,
            row.proposed_at,
            _duration(row.window_s),
            _duration(row.window_others_s),
            tuple(steps.get(row.rule_id, ())),
        )
        for row in rows
    ]


def rule_in_force(connection: Connection, now: datetime) -> Rule | None:
    """Return the rule in force at *now*; None: that of server.toml."""
    found = [
        (each.effective_at, each.rule_id, each)
        for each in rules_in(connection)
        if each.effective_at is not None and each.effective_at <= now
    ]
    return max(found, key=lambda each: each[:2])[2] if found else None


def in_force(connection: Connection, settings: RetentionSettings, now: datetime) -> Rules:
    """Return how long reads are kept by what is in force at *now*."""
    rule = rule_in_force(connection, now)
    return of_settings(settings) if rule is None else rule.rules


def _check(proposal: Proposal, law: str) -> None:
    rules = rules_by(proposal.others, proposal.hits, law)
    if min(rules.others, rules.hits) < rules.floor:
        raise RetentionRefusedError(
            f"less than {spoken(rules.floor)} is against {CALIFORNIA}: where another law holds, name it"
        )
    if rules.hits < rules.others:
        raise RetentionRefusedError("hits are evidence: they are kept at least as long as other reads")
    try:
        unit_profile(proposal.window, proposal.window_others)
    except ValueError as error:
        raise RetentionRefusedError(f"units cannot be told so: {error}") from None


def _waiting(connection: Connection, rule_id: int) -> Rule:
    for rule in rules_in(connection):
        if rule.rule_id == rule_id and rule.state == PROPOSED:
            return rule
    raise RetentionRefusedError(f"no rule waits under {rule_id}: see `alpr-server retention rules`")


def _add_step(connection: Connection, rule: Rule, step: Step) -> None:
    connection.execute(
        insert(retention_rule_steps).values(rule_id=rule.rule_id, number=len(rule.steps) + 1, **asdict(step))
    )


def _seconds(duration: timedelta | None) -> int | None:
    return None if duration is None else duration // timedelta(seconds=1)


def _duration(seconds: int | None) -> timedelta | None:
    return None if seconds is None else timedelta(seconds=seconds)
