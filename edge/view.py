"""The terminal view: what a running unit does, live, and a summary at the end."""

from collections.abc import Callable, Iterable, Iterator, Sequence

from rich import box
from rich.console import Console, Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from edge.status import HotlistHealth, Status
from hotlist_cache.hit import Alert, MatchForm, StateMatch

_STATE_MARK = {StateMatch.SAME: "", StateMatch.UNKNOWN: " check", StateMatch.DIFFERENT: " other"}
"""Behind the listed state: whether the read one is the same, is not known, or is another."""
_LEVEL_STYLE = {"ok": "green", "warn": "yellow", "overdue": "bold red"}


def view(status: Status, alerts: Iterable[Alert] = ()) -> RenderableType:
    """Return *status* as a panel; *alerts*, newest first, are shown below it to the officer at the screen."""
    grid = Table.grid(padding=(0, 3))
    for _ in range(4):
        grid.add_column(min_width=16)
    grid.add_row(
        _figure("frames/s", f"{status.frames_per_s:.1f}"),
        _figure("reads", f"{status.reads}"),
        _figure("hits", f"{status.hits}", "bold red" if status.hits else ""),
        _figure("alerts", _alerts(status), "bold red" if status.alerts else ""),
    )
    grid.add_row(
        _figure("queue", f"{status.transfer.queued}"),
        _figure("acknowledged", f"{status.transfer.uploaded}"),
        _figure("purged", f"{status.transfer.purged}"),
        _figure("days left", f"{status.transfer.days_left:.1f}", _LEVEL_STYLE[status.transfer.level]),
    )
    grid.add_row(
        _figure("hotlist", _hotlist(status), "yellow" if status.hotlist.stale else ""),
        _figure("department", "connected" if status.transfer.connected else "away"),
        _figure("time", status.time_quality),
        _figure("place", "fix" if status.has_fix else "no fix"),
    )
    parts: list[RenderableType] = [grid, _cameras(status)]
    if status.hotlist.wanted_bytes:
        parts.append(_coming(status.hotlist))
    if status.incident:
        left = f"reads carry it, {status.incident_left_min:.0f} min left"
        parts.append(Text(f"INCIDENT {status.incident}: {left}", style="bold"))
    parts += [Text(line, style="dim") for line in _standing(status)]
    parts += [Text(f"! {fault}", style="bold yellow") for fault in status.faults]
    if rows := list(alerts):
        parts.append(alerts_table(rows))
        # Of the newest: why it is one.
        parts.append(Text(rows[0].hit.explain(rows[0].raised_at), style="dim"))
    return Panel(Group(*parts), title=f"alpr-edge · {status.unit}", title_align="left")


def _standing(status: Status) -> Iterator[str]:
    """Yield what waits, for what, and whose settings hold."""
    if status.transfer.waits_for:
        yield f"{status.transfer.waits_for}; now on {status.transfer.network}"
    if status.hotlist.held_back:
        yield f"list {status.hotlist.held_back} waits for another network; now on {status.transfer.network}"
    if status.profile:
        yield f"settings of the department: {status.profile}"
    if status.next_pack:
        yield f"model pack {status.pack}; next: {status.next_pack}"
    elif status.pack:
        yield f"model pack {status.pack}"


def alerts_table(alerts: Iterable[Alert]) -> Table:
    """Return *alerts* as a table that fits 80 columns. Every one is unverified: the title says so."""
    table = Table(
        title="Alerts: UNVERIFIED, check CLETS",
        title_style="bold red",
        title_justify="left",
        box=box.SIMPLE_HEAD,
    )
    for column in ("UTC", "read", "listed", "state", "match", "sure", "list", "priority"):
        table.add_column(column, no_wrap=column != "list")
    for alert in alerts:
        hit = alert.hit
        table.add_row(
            f"{alert.raised_at:%H:%M:%S}",
            _marked(hit.read.prefix, hit.read.plate, hit.differing),
            hit.entry.pattern,
            f"{hit.entry.jurisdiction or 'any'}{_STATE_MARK[hit.state]}",
            hit.kind.value + ("" if hit.form is MatchForm.PLATE else ", prefix"),
            f"{min(99, int(100 * hit.probability))} %",
            hit.entry.list_name,
            "corrected"
            if alert.corrected
            else alert.priority.name.lower() + (", advisory" if alert.advisory_only else ""),
            style="dim strike" if alert.corrected else "",
        )
    return table


class AlertLines:
    """Tells each alert once, and once more if it no longer holds."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell = tell
        self._told: set[tuple[str, bool]] = set()

    def tell(self, alerts: Sequence[Alert]) -> None:
        """Tell those of *alerts*, newest first, that were not told yet, the oldest of them first."""
        shown = {(alert.alert_id, alert.corrected): alert for alert in reversed(alerts)}
        for key, alert in shown.items():
            if key not in self._told:
                self._tell(alert_line(alert))
        self._told = set(shown)


def alert_line(alert: Alert) -> str:
    """Return *alert* in one line, for an output that is no screen. It holds plates."""
    what = "CORRECTED, no longer holds" if alert.corrected else f"{alert.priority.name.lower()}, UNVERIFIED"
    moment = alert.raised_at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return f"{moment} {alert.hit.entry.list_name}, {what}: {alert.hit.explain(alert.raised_at)}"


def summary(status: Status, alerts: Iterable[Alert]) -> RenderableType:
    """Return what a run came to."""
    table = Table(
        title=f"Summary of {status.unit}", title_justify="left", show_header=False, box=box.SIMPLE_HEAD
    )
    table.add_column(style="bold")
    table.add_column(justify="right")
    rows = [
        ("frames", f"{status.frames}"),
        ("frames dropped", f"{sum(camera.dropped for camera in status.cameras)}"),
        ("frames/s", f"{status.frames_per_s:.1f}"),
        ("reads", f"{status.reads}"),
        ("hits", f"{status.hits}"),
        ("alerts sounded", _alerts(status)),
        ("settled read to alert, p95", f"{status.settle_to_alert_p95_ms:.1f} ms"),
        ("stored, sealed", f"{status.store.stored}"),
        ("with the department's signed receipt", f"{status.transfer.uploaded}"),
        ("purged after receipt and local window", f"{status.transfer.purged}"),
        ("waiting for transfer", f"{status.transfer.queued}"),
        ("days left on the transfer clock", f"{status.transfer.days_left:.1f}"),
        ("alerts sounded by", status.sound),
    ]
    for row in rows:
        table.add_row(*row)
    return Group(alerts_table(alerts), table)


def show(renderable: RenderableType) -> None:
    """Print *renderable* to the terminal, or as plain text where there is none."""
    Console().print(renderable)


def _figure(name: str, value: str, style: str = "") -> Text:
    return Text.assemble((f"{name} ", "dim"), (value, style or "bold"))


def _alerts(status: Status) -> str:
    return f"{status.alerts}" + (f", {status.corrected} corrected" if status.corrected else "")


def _hotlist(status: Status) -> str:
    if not status.hotlist.sequence:
        return "NONE"
    urgent = f" +{status.hotlist.urgent_entries} urgent" if status.hotlist.urgent_entries else ""
    return f"{status.hotlist.entries:,}{urgent}, {status.hotlist.age_h:.1f} h old"


def _coming(hotlist: HotlistHealth) -> Text:
    """A transfer on its way."""
    received, wanted = hotlist.received_bytes, hotlist.wanted_bytes
    share = f"{received / 1e6:.1f} of {wanted / 1e6:.1f} MB, {100 * received // wanted} %"
    return Text.assemble(("what the department published is on its way: ", "dim"), (share, "bold"))


def _cameras(status: Status) -> Table:
    table = Table(box=None, padding=(0, 3, 0, 0))
    for column in ("camera", "state", "frames", "dropped", "reopened", "last error"):
        table.add_column(column, style="dim" if column == "last error" else "", header_style="dim")
    for camera in status.cameras:
        table.add_row(
            camera.name,
            Text(camera.state, style="green" if camera.state == "running" else "yellow"),
            f"{camera.frames}",
            f"{camera.dropped}",
            f"{camera.reopened}",
            camera.last_error,
        )
    return table


def _marked(prefix: str, plate: str, differing: tuple[int, ...]) -> Text:
    text = Text(plate, style="bold")
    for index in differing:
        text.stylize("bold red underline", index, index + 1)
    return Text.assemble((f"{prefix} ", "dim"), text) if prefix else text
