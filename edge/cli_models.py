"""Model packs: `alpr-edge models ...`."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from edge.cli_hotlist import DEFAULT_CONFIG, ConfigOption

models = typer.Typer(
    help="Model packs: list, verify, install, export.", no_args_is_help=True, rich_markup_mode=None
)


@models.command("list")
def models_list(config: ConfigOption = DEFAULT_CONFIG) -> None:
    """Show the packs on this machine; of an enrolled unit, also which one runs, is next or was refused."""
    from edge.config import load_config
    from edge.department_packs import PACKS_FOLDER, held_record
    from edge.errors import VaultLockedError
    from edge.pack_record import pack_lines
    from edge.vault import unlock
    from hotlist_cache.sealed_file import SealedFileDamagedError
    from recognizer.manifest import builtin_folder, installed_folders, load_pack

    table = Table("pack", "folder", "detector", "reader")
    installed = [
        path.parent for place in installed_folders() for path in sorted(place.glob("*/manifest.toml"))
    ]
    for folder in [builtin_folder(), *installed]:
        pack = load_pack(str(folder))
        table.add_row(pack.name, str(folder), pack.detector.weights.file, pack.reader.weights.file)
    Console().print(table)
    if config == DEFAULT_CONFIG and not config.exists():
        return  # no unit: a machine on which packs are tried
    loaded = load_config(config)
    try:
        record = held_record(loaded.unit.state_dir, unlock(loaded.unit.keys_dir).storage)
    except (VaultLockedError, SealedFileDamagedError, ValueError, OSError) as error:
        print(f"alpr-edge: the department's packs cannot be shown: {error}", file=sys.stderr)
        raise typer.Exit(1) from None
    lines = pack_lines(record, load_pack(loaded.recognizer.model_pack).name)
    print(f"in use: {lines.running}")
    if record.running is not None:
        print(f"    {loaded.unit.state_dir / PACKS_FOLDER / record.running.folder}")
    if lines.next:
        print(f"next: {lines.next}")
    for refusal in record.refused:
        print(f"refused: {refusal.label}: {refusal.why}")


@models.command("verify")
def models_verify(pack: Annotated[str, typer.Argument()] = "builtin") -> None:
    """Check every file of a pack against its manifest, and run both models once."""
    from recognizer.config import RecognizerConfig
    from recognizer.onnx import Recognizer

    recognizer = Recognizer.open(RecognizerConfig(model_pack=pack))
    print(f"pack {recognizer.pack.name}: digests as in its manifest, both models run")


@models.command("install")
def models_install(
    name: Annotated[str, typer.Argument(help="fast-alpr")],
    source: Annotated[
        Path | None, typer.Option("--from", help="A folder that holds the files, for units without internet.")
    ] = None,
) -> None:
    """Fetch a published pack from its upstream release, pinned by digest."""
    from edge.packs import install_pack
    from recognizer.manifest import installed_folders

    try:
        folder = install_pack(name, installed_folders()[1 if os.getuid() == 0 else 0], source=source)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    print(f'installed in {folder}; use it with model_pack = "{name}" or --pack {name}')


@models.command("export")
def models_export(
    pack: Annotated[str, typer.Argument(help="A name, or the path of a folder.")],
    out: Annotated[Path, typer.Argument(help="New file, for `alpr-server updates add-pack`.")],
    pictures: Annotated[
        list[str],
        typer.Option(
            "--picture",
            help="A self-test picture and the plates in it, as front.jpg=7ABC123. Twice or more: each of it.",
        ),
    ],
) -> None:
    """Write a pack as the one file that a department publishes, with the pictures that units try it on."""
    from edge.exporting import export_pack

    try:
        export_pack(pack, pictures, out)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    print(f"{out}: every picture is read as you said; next: alpr-server updates add-pack {out}")
