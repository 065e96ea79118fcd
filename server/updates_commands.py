"""`alpr-server updates`: what is published to units, who signs for it, and with which keys."""

import shutil
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Annotated

import typer
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from securesystemslib.signer import Key, SSlibKey

from recognizer.errors import ModelInvalidError
from recognizer.published import check_published
from server import clock
from server.actors import console_person
from server.audit import Deed, append
from server.coming_ends import signatures_due
from server.database import writing
from server.department import Department, open_department
from server.errors import SettingsInvalidError
from server.hotlist_commands import DEFAULT_ROOT, RootOption
from server.repository import OFFLINE
from server.repository_keys import key_in_file, make_key_file, pem_uri
from server.repository_signing import describe, read_metadata, sign_file
from sync.trust_values import FOLDERS, MODEL_KIND, PACK_SUFFIX, PROFILE_KIND, Label, pack_path

updates_app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="What is published to units: roles, keys, signatures, models, profiles.",
)
RoleArgument = Annotated[str, typer.Argument(help="root or targets")]
NameArgument = Annotated[str, typer.Argument(help="Of the key.")]


@updates_app.command("status")
def updates_status(root: RootOption = DEFAULT_ROOT) -> None:
    """Say what is in force, until when, and what waits for whose signature."""
    department = open_department(root)
    repository, now = department.publications.repository, clock.now()
    versions = {}
    for role, version, expires in department.publications.roles():
        versions[role] = version
        days = (expires - now) / timedelta(days=1)
        typer.echo(f"{role:10} version {version}, until {expires:%Y-%m-%d %H:%M}Z ({days:.0f} days)")
    for line in signatures_due(department, now):
        typer.echo(f"DUE: {line}")
    for role in OFFLINE:
        draft = repository.folder.draft(role)
        if draft is not None and draft.signed.version > versions.get(role, 0):
            typer.echo(f"draft of {role}, version {draft.signed.version}:")
            for line in repository.describe_draft(role):
                typer.echo(f"    {line}")


@updates_app.command("make-key")
def updates_make_key(
    name: NameArgument,
    file: Annotated[Path, typer.Argument(help="New file, best on the holder's own stick.")],
    root: RootOption = DEFAULT_ROOT,
) -> None:
    """Make a key in a file, under a passphrase, and remember its public half."""
    passphrase = typer.prompt("passphrase", hide_input=True, confirmation_prompt=True)
    try:
        public = make_key_file(file, passphrase)
    except OSError as error:
        raise SettingsInvalidError(f"{file}: no key was made ({error.strerror}); name a new file") from error
    _remember(root, name, public, pem_uri(file))


@updates_app.command("add-key")
def updates_add_key(
    name: NameArgument,
    uri: Annotated[
        str, typer.Argument(help='Where it signs: "hsm:2" (PKCS#11), "awskms:…", "azurekms:…", "gcpkms:…".')
    ],
    public: Annotated[Path, typer.Argument(help="Its public half, PEM.")],
    root: RootOption = DEFAULT_ROOT,
) -> None:
    """Remember a key that never leaves its device or service."""
    try:
        key = SSlibKey.from_crypto(load_pem_public_key(public.read_bytes()))
    except (OSError, ValueError, UnsupportedAlgorithm) as error:
        raise SettingsInvalidError(f"{public}: cannot be read as a public key in PEM") from error
    _remember(root, name, key, uri)


@updates_app.command("replace-key")
def updates_replace_key(
    name: NameArgument,
    successor: Annotated[str, typer.Argument(help="Name of the key that takes its place.")],
    root: RootOption = DEFAULT_ROOT,
) -> None:
    """Draft that another key stands in the place of one, lost or stolen; two persons then sign."""
    department = open_department(root)
    touched = department.publications.repository.replace_key(name, successor, clock.now())
    _log(department, "updates.replace_key", {"key": name, "successor": successor})
    typer.echo(f"drafted: {', '.join(touched)}; have them signed, then `alpr-server updates publish`")


@updates_app.command("add-target")
def updates_add_target(
    path: Annotated[str, typer.Argument(help="As profiles/agency.toml.")],
    file: Annotated[Path, typer.Argument()],
    kind: Annotated[
        str, typer.Option(help="profile; or model, for which `add-pack` knows path and sequence")
    ],
    sequence: Annotated[int, typer.Option(help="Higher than that of the file before.")],
    root: RootOption = DEFAULT_ROOT,
) -> None:
    """Draft that units are offered a file; two persons then sign."""
    if kind == MODEL_KIND and not path.endswith(PACK_SUFFIX):
        raise SettingsInvalidError(f"{path}: units take models as one file models/NAME{PACK_SUFFIX} alone")
    department = open_department(root)
    department.publications.repository.put_target(path, file, Label(kind, sequence), clock.now())
    _log(department, "updates.add_target", {"path": path, "sequence": sequence})
    typer.echo("drafted: targets; have it signed, then `alpr-server updates publish`")


@updates_app.command("add-pack")
def updates_add_pack(
    file: Annotated[Path, typer.Argument(help="As `alpr-edge models export` writes it.")],
    sequence: Annotated[int, typer.Option(help="Higher than that of the pack before; 0: the next.")] = 0,
    root: RootOption = DEFAULT_ROOT,
) -> None:
    """Draft that units which have a model pack of this name are offered this one; two persons then sign."""
    try:
        pack = check_published(file).pack
        path = pack_path(pack.name)
    except (ModelInvalidError, OSError, ValueError) as error:
        raise SettingsInvalidError(f"{file}: {error}") from error
    department = open_department(root)
    repository = department.publications.repository
    now = clock.now()
    sequence = sequence or repository.next_sequence(path, now)
    repository.put_target(path, file, Label(MODEL_KIND, sequence), now)
    _log(department, "updates.add_target", {"path": path, "sequence": sequence})
    for each in pack.files:
        typer.echo(f"    {each.file}  {each.bytes} bytes  SHA-256 {each.sha256}")
    typer.echo(f"drafted: targets with {path}, number {sequence}; have it signed, then publish")


@updates_app.command("remove-target")
def updates_remove_target(
    path: Annotated[str, typer.Argument(help="As models/builtin.pack or profiles/agency.toml.")],
    root: RootOption = DEFAULT_ROOT,
) -> None:
    """Draft that a file is published no more: units then go by their own; two persons sign."""
    if path.partition("/")[0] not in (FOLDERS[MODEL_KIND], FOLDERS[PROFILE_KIND]):
        raise SettingsInvalidError(f"{path}: only models and profiles are withdrawn by persons")
    department = open_department(root)
    department.publications.repository.remove_target(path, clock.now())
    _log(department, "updates.remove_target", {"path": path})
    typer.echo("drafted: targets; have it signed, then `alpr-server updates publish`")


@updates_app.command("renew")
def updates_renew(role: RoleArgument, root: RootOption = DEFAULT_ROOT) -> None:
    """Draft a role unchanged, with a new date."""
    _require_offline(role)
    open_department(root).publications.repository.renew(role, clock.now())
    typer.echo(f"drafted: {role}; have it signed, then `alpr-server updates publish`")


@updates_app.command("export-draft")
def updates_export_draft(
    role: RoleArgument,
    out: Annotated[Path, typer.Argument(help="New file.")],
    root: RootOption = DEFAULT_ROOT,
) -> None:
    """Write a draft to a file, to be signed on its holder's machine."""
    _require_offline(role)
    if out.exists():
        raise SettingsInvalidError(f"{out} exists: nothing is overwritten; choose another file")
    repository = open_department(root).publications.repository
    for line in repository.describe_draft(role):
        typer.echo(line)
    shutil.copyfile(repository.folder.draft_path(role), out)


@updates_app.command("sign")
def updates_sign(
    name: NameArgument,
    draft: Annotated[Path, typer.Argument()],
    key: Annotated[
        Path | None,
        typer.Option("--key", help="Its file, where that is now. No department's folder is asked then."),
    ] = None,
    root: RootOption = DEFAULT_ROOT,
) -> None:
    """Sign an exported draft with a key, here or on its holder's machine. Says what the draft says first."""
    for line in describe(read_metadata(draft).signed, None):
        typer.echo(line)
    ask = cache(_ask)
    if key is not None:
        named = key_in_file(name, key, ask)
    else:
        named = open_department(root).publications.repository.ring.named(name)
    sign_file(draft, named, ask)
    typer.echo(f"{draft} is signed with {name}")


@updates_app.command("import-signed")
def updates_import_signed(
    role: RoleArgument, signed: Annotated[Path, typer.Argument()], root: RootOption = DEFAULT_ROOT
) -> None:
    """Take up the signatures that a draft brings back."""
    _require_offline(role)
    department = open_department(root)
    names = department.publications.repository.take_signed(role, signed)
    _log(department, "updates.signed", {"role": role, "by": names})
    typer.echo(f"{role} is signed by {', '.join(names)}")


@updates_app.command("publish")
def updates_publish(root: RootOption = DEFAULT_ROOT) -> None:
    """Put everything that is signed in force; units are told of it."""
    department = open_department(root)
    published = department.publications.publish(clock.now(), _ask)
    versions = dict(published.trusted.versions)
    _log(department, "updates.publish", {"versions": versions})
    typer.echo("in force: " + ", ".join(f"{role} {version}" for role, version in sorted(versions.items())))
    for role in published.waiting:
        typer.echo(f"not in it: the draft of {role} lacks signatures")


def _remember(root: Path, name: str, public: Key, uri: str) -> None:
    open_department(root).publications.repository.ring.add(name, public, uri)
    typer.echo(f"key {name} is known; it stands for nothing until `alpr-server updates replace-key`")


def _require_offline(role: str) -> None:
    if role not in OFFLINE:
        raise SettingsInvalidError(f"{role}: persons sign for root and targets; the server signs the others")


def _ask(what: str) -> str:
    return str(typer.prompt(what, hide_input=True))


def _log(department: Department, action: str, detail: dict[str, object]) -> None:
    with writing(department.engine) as connection:
        append(connection, Deed(console_person(), action, detail=detail), clock.now())
