"""`alpr-server account …`: who may log in, for whoever may use the department's folder."""

import secrets
import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Annotated, TypeVar

import typer
from rich.console import Console
from rich.table import Table

from server import clock
from server.accounts import ONE_TIME_DAYS, UNNAMED_COURSE, Course
from server.actors import Actor, console_person
from server.department import Department, open_department
from server.errors import SettingsInvalidError
from server.hotlist_commands import DEFAULT_ROOT, RootOption
from server.people import People
from server.roles import Role
from server.roster_commands import bring_after_change

_T = TypeVar("_T")

account_app = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="Accounts: who may log in, here and on the units."
)

PasswordFile = Annotated[
    Path | None,
    typer.Option(help='File whose first line is the password; "-" is standard input. Else one is made.'),
]
Name = Annotated[str, typer.Argument(help="The account's name.")]
CourseName = Annotated[str, typer.Option(help="What the training was.")]
HeldOn = Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], help="Day on which it was held.")]
Expires = Annotated[
    datetime, typer.Option(formats=["%Y-%m-%d"], help="Day on which the person's training lapses.")
]


@account_app.command("list")
def account_list(root: RootOption = DEFAULT_ROOT) -> None:
    """Show every account with role, standing, training and second factor."""
    department = open_department(root)
    table = Table("account", "role", "standing", "training until", "second factor", "last used", "days idle")
    for person in _people(department).all(_actor(), clock.now()):
        standing = person.closed_why or ("locked" if person.locked_until else "open")
        if person.one_time_until is not None:
            standing += ", one-time password"
        if person.wanted_role is not None:
            waiting = f"opening as {person.role.value}" if person.opening_waits else person.wanted_role.value
            standing += f", {waiting} waits (asked by {person.wanted_by})"
        table.add_row(
            person.name,
            person.role.value,
            standing,
            person.training_expires.isoformat(),
            "on" if person.has_factor else "none",
            f"{person.last_used_at:%Y-%m-%d}",
            f"{person.idle_days}",
        )
    Console().print(table)


@account_app.command("show")
def account_show(name: Name, root: RootOption = DEFAULT_ROOT) -> None:
    """Show one account's history of training."""
    _, history = _people(open_department(root)).one(name, _actor(), clock.now())
    table = Table("training", "held on", "lapses on", "recorded", "by")
    for each in history:
        held = "" if each.held_on is None else each.held_on.isoformat()
        recorded = f"{each.recorded_at:%Y-%m-%d}"
        table.add_row(each.course, held, each.expires.isoformat(), recorded, each.recorded_by)
    Console().print(table)


@account_app.command("add")
def account_add(
    name: Name,
    role: Annotated[Role, typer.Option()],
    *,
    training_expires: Expires,
    course: CourseName = UNNAMED_COURSE,
    held_on: HeldOn = None,
    password_file: PasswordFile = None,
    root: RootOption = DEFAULT_ROOT,
) -> None:
    """Make an account. A password that is made here must be changed at the first login on the pages."""
    department = open_department(root)
    people, until = _people(department), training_expires.date()
    given = None if password_file is None else password_from(password_file)[0]
    made = people.add(
        name,
        role,
        _course(course, held_on, training_expires),
        actor=_actor(),
        now=clock.now(),
        password=given,
    )
    person, _ = people.one(name, _actor(), clock.now())
    typer.echo(f"account {name} ({person.role.value}): training on record until {until.isoformat()}")
    if person.wanted_role is not None:
        typer.echo(f"{person.wanted_role.value}: once another administrator approves")
    _tell_one_time(name, made)
    bring_after_change(department)


@account_app.command("change")
def account_change(
    name: Name,
    *,
    new_password: Annotated[bool, typer.Option("--new-password", help="Give it another password.")] = False,
    password_file: PasswordFile = None,
    training_expires: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="After a new training.")
    ] = None,
    disable: Annotated[bool | None, typer.Option("--disable/--enable", help="Close or open it.")] = None,
    root: RootOption = DEFAULT_ROOT,
) -> None:
    """Change an account; ends its sessions and lifts its lock."""
    department, now = open_department(root), clock.now()
    people, made, waits = _people(department), "", False
    if disable:
        people.disable(name, _actor(), now)
    elif disable is False:
        waits = people.enable(name, _actor(), now)
    if password_file is not None:
        people.give_password(name, password_from(password_file)[0], _actor(), now)
    elif new_password:
        made = people.reset_password(name, _actor(), now)
    if training_expires is not None:
        people.train(name, _course(UNNAMED_COURSE, None, training_expires), _actor(), now)
    if waits:
        typer.echo(f"account {name} stays disabled until another administrator approves")
    else:
        typer.echo(f"account {name} is changed")
    _tell_one_time(name, made)
    bring_after_change(department)


@account_app.command("train")
def account_train(
    name: Name,
    course: CourseName,
    training_expires: Expires,
    held_on: HeldOn = None,
    root: RootOption = DEFAULT_ROOT,
) -> None:
    """Record a training; the history stays."""
    held = _course(course, held_on, training_expires)
    _do(root, lambda people: people.train(name, held, _actor(), clock.now()))
    typer.echo(f"account {name}: training on record until {held.expires.isoformat()}")


@account_app.command("role")
def account_role(
    name: Name, role: Annotated[Role, typer.Argument()], root: RootOption = DEFAULT_ROOT
) -> None:
    """Give another role; a further administrator, or a supervisor, is made by two."""
    waits = _do(root, lambda people: people.change_role(name, role, _actor(), clock.now()))
    what = "waits for another administrator" if waits else "given"
    typer.echo(f"account {name}: {role.value} {what}")


@account_app.command("approve")
def account_approve(
    name: Name,
    role: Annotated[Role | None, typer.Option(help="Approve of this role alone.")] = None,
    root: RootOption = DEFAULT_ROOT,
) -> None:
    """Approve of a role, or of opening an account, that another administrator asked for."""
    given, opened = _do(root, lambda people: people.approve(name, _actor(), clock.now(), role=role))
    typer.echo(f"account {name}: {'opened as ' if opened else ''}{given.value}, approved")


@account_app.command("refuse")
def account_refuse(name: Name, root: RootOption = DEFAULT_ROOT) -> None:
    """Leave the role, or a disabled account, as it is."""
    _do(root, lambda people: people.refuse(name, _actor(), clock.now()))
    typer.echo(f"account {name}: stays as it is")


@account_app.command("reset-password")
def account_reset_password(name: Name, root: RootOption = DEFAULT_ROOT) -> None:
    """Give a one-time password, which must be changed at the next login on the pages."""
    _tell_one_time(name, _do(root, lambda people: people.reset_password(name, _actor(), clock.now())))


@account_app.command("reset-factor")
def account_reset_factor(name: Name, root: RootOption = DEFAULT_ROOT) -> None:
    """Take the second factor off: the phone and the recovery codes are lost."""
    _do(root, lambda people: people.reset_factor(name, _actor(), clock.now()))
    typer.echo(f"account {name} has no second factor now")


def password_from(file: Path | None) -> tuple[str, bool]:
    """Return a password, and whether it was made here.

    Raises SettingsInvalidError if *file* holds none.
    """
    if file is None:
        return secrets.token_urlsafe(15), True
    try:
        text = sys.stdin.readline() if str(file) == "-" else file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsInvalidError(f"{file}: no password could be read from it") from error
    return text.partition("\n")[0].rstrip("\r"), False


def tell_password(name: str, password: str, made: bool) -> None:
    """Print *password* if it was made here."""
    if made:
        typer.echo(f"password of {name}, shown only now: {password}")


def _course(name: str, held_on: datetime | None, expires: datetime) -> Course:
    return Course(name, None if held_on is None else held_on.date(), expires.date())


def _tell_one_time(name: str, password: str) -> None:
    tell_password(name, password, bool(password))
    if password:
        typer.echo(
            f"It must be changed on the pages within {ONE_TIME_DAYS} days; units let {name} in after that."
        )


def _do(root: Path, deed: Callable[[People], _T]) -> _T:
    department = open_department(root)
    done = deed(_people(department))
    bring_after_change(department)
    return done


def _people(department: Department) -> People:
    return People(department.engine, department.settings.access, department.settings.department.name)


def _actor() -> Actor:
    return Actor(console_person())
