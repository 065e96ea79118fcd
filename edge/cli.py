"""The unit's commands: each parses, calls one function, prints, returns a code."""

import os
import signal
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.live import Live

from camera.errors import RecordingUnreadableError
from edge.cli_hotlist import DEFAULT_CONFIG, ConfigOption, hotlist
from edge.cli_log import log
from edge.cli_models import models
from edge.cli_transfer import transfer
from edge.clock import system_utc
from edge.config import load_config
from edge.errors import EdgeError
from edge.logs import configure_logs
from hotlist_cache.errors import HotlistError
from recognizer.errors import ModelInvalidError, RecognizerError
from sync.errors import OutboxVersionError, SyncError

app = typer.Typer(
    name="alpr-edge",
    help="The in-vehicle licence plate reader.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.add_typer(models, name="models")
app.add_typer(hotlist, name="hotlist")
app.add_typer(log, name="log")
app.add_typer(transfer, name="transfer")

EXIT_NO_INPUT = 66
EXIT_CONFIG = 78

PackOption = Annotated[str, typer.Option("--pack", help="Model pack: a name, or the path of a folder.")]


@app.command()
def run(
    config: ConfigOption = DEFAULT_CONFIG,
    source: Annotated[
        str, typer.Option(help="Use this camera or recording instead of the configured ones.")
    ] = "",
    until_end: Annotated[
        bool, typer.Option(help="End when every recording is read and transferred.")
    ] = False,
    view: Annotated[
        bool, typer.Option(help="Show a live view on the terminal; elsewhere a line for each alert.")
    ] = False,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="Override a setting: section.key=value.")
    ] = None,
    log_level: Annotated[str, typer.Option(help="debug, info, warning or error.")] = "info",
) -> None:
    """Run the daemon: cameras to alerts, sealed store and transfer."""
    from edge.compose import compose, with_source
    from edge.daemon import Daemon
    from edge.view import AlertLines, summary
    from edge.view import view as shown

    # The journal stamps its lines itself; anywhere else a line without a time is of little use.
    configure_logs(level=log_level, now=None if "JOURNAL_STREAM" in os.environ else system_utc)
    loaded = load_config(config, settings or ())
    parts = compose(with_source(loaded, source) if source else loaded)
    daemon = Daemon(parts)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda signum, frame: daemon.stop())
    if not view:
        daemon.run(until_end=until_end, on_status=lambda status, alerts: None)
        return
    console = Console()
    if console.is_terminal:
        with Live(console=console, auto_refresh=False, transient=True) as live:
            status = daemon.run(
                until_end=until_end,
                on_status=lambda status, alerts: live.update(shown(status, alerts[:5]), refresh=True),
            )
    else:
        told = AlertLines(partial(print, flush=True))
        status = daemon.run(until_end=until_end, on_status=lambda status, alerts: told.tell(alerts))
    console.print(summary(status, daemon.alerts[::-1]))


@app.command()
def status(
    config: ConfigOption = DEFAULT_CONFIG,
    watch: Annotated[bool, typer.Option(help="Keep it on the screen until Ctrl-C.")] = False,
    json_: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """Show how a running daemon does."""
    from edge.watching import print_status, watch_status

    unit = load_config(config).unit
    if watch:
        watch_status(unit)
    else:
        print_status(unit, as_json=json_)


@app.command()
def check(config: ConfigOption = DEFAULT_CONFIG) -> None:
    """Tell what is wrong with this machine, a line a finding, with the remedy."""
    from edge.doctor import Verdict, examine

    style = {Verdict.OK: "green", Verdict.WARNING: "yellow", Verdict.FAILURE: "bold red"}
    console, failed = Console(soft_wrap=True, highlight=False), False
    for finding in examine(load_config(config)):
        mark = f"[{style[finding.verdict]}]{finding.verdict.value:8}[/]"
        console.print(f"{mark} {finding.subject}: ", end="")
        console.print(finding.text, markup=False)
        failed = failed or finding.verdict is Verdict.FAILURE
    if failed:
        raise typer.Exit(1)


@app.command()
def read(
    images: Annotated[list[Path], typer.Argument(help="Pictures (JPEG, PNG, …).")],
    jsonl: Annotated[Path | None, typer.Option(help="Write here instead of to the terminal.")] = None,
    pack: PackOption = "builtin",
    threads: Annotated[int, typer.Option(help="Threads of one model run.")] = 2,
) -> None:
    """Read single pictures: one JSON line each."""
    from edge.reading import read_images
    from recognizer.config import RecognizerConfig
    from recognizer.onnx import Recognizer

    recognizer = Recognizer.open(RecognizerConfig(model_pack=pack, threads=threads))
    if jsonl is None:
        done = read_images(images, recognizer, sys.stdout)
    else:
        with jsonl.open("w", encoding="utf-8") as out:
            done = read_images(images, recognizer, out)
    for line in done.unreadable:
        print(f"alpr-edge: {line}", file=sys.stderr)
    raise typer.Exit(done.exit_code)


@app.command()
def replay(
    recording: Annotated[Path, typer.Argument(help="A video file, or a folder of pictures.")],
    out: Annotated[Path | None, typer.Option(help="Write the reads here as CSV.")] = None,
    annotate: Annotated[Path | None, typer.Option(help="Write the video with boxes and reads here.")] = None,
    pack: PackOption = "builtin",
    hotlist: Annotated[
        Path | None, typer.Option(help="A CSV list to match against, unsigned: for trials.")
    ] = None,
) -> None:
    """Read any footage with the real pipeline."""
    from edge.replaying import replay_command

    configure_logs(level="warning")
    replay_command(recording, out=out, annotate=annotate, pack=pack, hotlist=hotlist)


@app.command()
def bench(
    json_: Annotated[Path | None, typer.Option("--json", help="Also write the figures here as JSON.")] = None,
    entries: Annotated[int, typer.Option(help="Size of the hotlist to match against.")] = 5_000_000,
    seconds: Annotated[float, typer.Option(help="How long each stream is read.")] = 15.0,
) -> None:
    """Print the benchmark tables."""
    from edge.bench import bench_command

    configure_logs(level="error")
    bench_command(json_, entries=entries, seconds=seconds)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; errors become one line on standard error and an exit status (sysexits.h)."""
    # OpenCV and FFmpeg tell a broken file or a lost camera in lines of their own, addresses included; ours
    # says it once. Both read these when they are first used, in camera processes too.
    os.environ.setdefault("OPENCV_LOG_LEVEL", "OFF")
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    return guarded(lambda: app(arguments, standalone_mode=False))


def guarded(command: Callable[[], object]) -> int:
    """Return the exit status of *command*; what it raises of ours becomes a line that says what to do."""
    try:
        result = command()
        return result if isinstance(result, int) else 0
    except EdgeError as error:
        code = error.exit_code
        line = str(error)
    except (ModelInvalidError, OutboxVersionError) as error:
        code, line = EXIT_CONFIG, str(error)
    except RecordingUnreadableError as error:
        code, line = EXIT_NO_INPUT, str(error)
    except (RecognizerError, SyncError, HotlistError) as error:
        code, line = 1, str(error)
    except typer.Exit as error:
        return error.exit_code
    except typer.Abort:
        return 130
    except typer.BadParameter as error:
        code, line = 64, error.format_message()
    print(f"alpr-edge: {line}", file=sys.stderr)
    return code
