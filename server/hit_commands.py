"""`alpr-server hits …`: what came of hits, how well plates are read, which entries are to be corrected."""

from pathlib import Path
from typing import Annotated, Any

import typer

from hotlist_cache.entry import Priority
from hotlist_cache.verification import Disposition
from server import clock
from server.accuracy_export import as_csv as accuracy_csv
from server.accuracy_export import as_json as accuracy_json
from server.accuracy_export import in_words
from server.actors import Actor
from server.audit import append
from server.audit_period import Period, period_of
from server.database import reading, writing
from server.department import Department, open_department
from server.dispositions import Outcome, Said, dispose
from server.errors import HitRefusedError
from server.evidence_commands import person_at_console
from server.hit_accuracy import Measure, accuracy_of
from server.hit_answers import STANDINGS, catch_up
from server.hit_corrections import TicketState, advance, as_csv, tickets
from server.hits import HITS_PER_PAGE, MOST_PAGES, Hit, HitQuery, day_of, find_hits, get_hit, hit_ids
from server.hotlist_commands import DEFAULT_ROOT, RootOption
from server.keys import write_private

hits_app = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="What came of hits, and how well plates are read."
)

ReadId = Annotated[str, typer.Argument(help="The read's id.")]
HitId = Annotated[str, typer.Argument(help="The hit's id; needed where the read met several entries.")]
PurposeOption = Annotated[str, typer.Option(help="Why you look: a code of the pick list.")]
CaseOption = Annotated[str, typer.Option("--case", help="Case number.")]
Day = Annotated[str, typer.Option(help="First day or moment, UTC.")]
LastDay = Annotated[str, typer.Option(help="Last day or moment, UTC.")]


@hits_app.command("list")
def hits_list(
    *,
    standing: Annotated[
        str, typer.Option(help='"open", "verified", "closed", "contradicted" or "all".')
    ] = "open",
    list_name: Annotated[str, typer.Option("--list", help="This kind of list alone.")] = "",
    unit: Annotated[str, typer.Option(help="This unit alone.")] = "",
    priority: Annotated[str, typer.Option(help='"high", "medium" or "low".')] = "",
    since: Annotated[str, typer.Option(help="First day, UTC.")] = "",
    until: Annotated[str, typer.Option(help="Last day, UTC.")] = "",
    page: Annotated[int, typer.Option(min=1, max=MOST_PAGES)] = 1,
    purpose: PurposeOption = "hit-verification",
    case: CaseOption = "",
    root: RootOption = DEFAULT_ROOT,
) -> None:
    """Show the queue, with its plates; high priority first, then newest first."""
    department, actor = open_department(root), person_at_console(purpose, case)
    try:
        query = HitQuery(
            _one_of("--standing", standing, (*STANDINGS, "contradicted", "all")),
            list_name,
            unit,
            Priority[priority.upper()] if priority else 0,
            day_of(since),
            day_of(until, ends=True),
        )
    except KeyError:
        raise HitRefusedError("--priority is high, medium or low") from None
    except ValueError as error:
        raise HitRefusedError(str(error)) from None
    catch_up(department.engine)
    with reading(department.engine) as connection:
        found = find_hits(connection, query, HITS_PER_PAGE, (page - 1) * HITS_PER_PAGE)
    shown = [hit.read.read_id for hit in found]
    _record(department, actor, "hits.list", {"asked": {**query.asked, "page": page}, "shown": shown})
    for hit in found:
        typer.echo(_line(hit))
    if not found:
        typer.echo("no hit fits this")


@hits_app.command("show")
def hits_show(
    read_id: ReadId,
    hit_id: HitId = "",
    *,
    purpose: PurposeOption = "hit-verification",
    case: CaseOption = "",
    root: RootOption = DEFAULT_ROOT,
) -> None:
    """Show one hit: what was read and listed, the ladder of the car, what the department said."""
    department, actor = open_department(root), person_at_console(purpose, case)
    catch_up(department.engine)
    with reading(department.engine) as connection:
        hit = get_hit(connection, read_id, hit_id or _only(department, read_id))
    _record(department, actor, "hit.view", {"read": read_id[:64], "found": hit is not None})
    if hit is None:
        raise HitRefusedError("there is no such hit: its read may have been purged")
    typer.echo(_line(hit))
    typer.echo(f"  {hit.kind}, state {hit.state}; list {hit.snapshot_sequence}, {hit.list_age} old by then")
    for answer in hit.ladder.answers:
        typer.echo(f"  car   {answer.at:%Y-%m-%d %H:%M}Z  {answer.rung.value}: {answer.answer}  {answer.by}")
    for each in hit.judged:
        plate = f", plate {each.true_plate(hit.read.plate)}" if each.differences else ""
        told = f"{each.verdict}{plate}{', ' + each.true_state if each.true_state else ''}"
        outcome = f", {each.outcome}" if each.outcome else ""
        typer.echo(
            f"  desk  {each.judged_at:%Y-%m-%d %H:%M}Z  {told}{outcome}  {each.judged_by}  {each.note}"
        )
    if hit.contradicted:
        typer.echo(f"  CONTRADICTS THE CAR, which said {hit.car_disposition}")


@hits_app.command("dispose")
def hits_dispose(
    read_id: ReadId,
    hit_id: HitId = "",
    *,
    verdict: Annotated[Disposition, typer.Option(help="What came of it.")],
    outcome: Annotated[Outcome | None, typer.Option(help="Of a confirmed hit: what it led to.")] = None,
    true_state: Annotated[str, typer.Option(help="What the picture shows: NV or US-NV.")] = "",
    note: Annotated[str, typer.Option(help="Anything else; no plate and no name.")] = "",
    compared: Annotated[
        bool, typer.Option("--compared", help="You compared picture, list and state.")
    ] = False,
    clets: Annotated[bool, typer.Option("--clets", help="CLETS answered: wanted.")] = False,
    purpose: PurposeOption = "hit-verification",
    case: CaseOption = "",
    root: RootOption = DEFAULT_ROOT,
) -> None:
    """Say what came of a hit. Of a misread the true plate is asked for: commands end up in histories."""
    department, actor = open_department(root), person_at_console(purpose, case)
    true_plate = ""
    if verdict is Disposition.MISREAD:
        true_plate = typer.prompt("The plate as the picture shows it", hide_input=True)
    said = Said(
        verdict.value, "" if outcome is None else outcome.value, true_plate, true_state, note, compared, clets
    )
    its = hit_id or _only(department, read_id)
    number = dispose(department.engine, read_id, its, said, actor=actor, now=clock.now())
    typer.echo(f"disposition {number}: {verdict.value}")


@hits_app.command("accuracy")
def hits_accuracy(
    *,
    since: Day = "",
    until: LastDay = "",
    as_json: Annotated[bool, typer.Option("--json", help="As JSON, with all intervals.")] = False,
    as_table: Annotated[bool, typer.Option("--csv", help="As CSV.")] = False,
    root: RootOption = DEFAULT_ROOT,
) -> None:
    """Say how well plates were read, from dispositions and samples; names no plate."""
    department = open_department(root)
    period = _period(since, until)
    catch_up(department.engine)
    found = accuracy_of(department.engine, period)
    _record(department, person_at_console("quality-assurance", ""), "hits.accuracy", {"period": str(period)})
    if as_json or as_table:
        typer.echo(accuracy_json(found) if as_json else accuracy_csv(found), nl=False)
        return
    typer.echo(f"{period}")
    typer.echo(f"hits: {found.hits:,}; without a disposition: {in_words(found.without)}")
    _tell("hits", found.measured)
    typer.echo(f"drawn at random: {found.drawn:,}; not judged: {in_words(found.unjudged)}")
    _tell("sample", found.sample)


@hits_app.command("corrections")
def hits_corrections(
    *,
    out: Annotated[Path | None, typer.Option(help="New CSV file for the list's owner.")] = None,
    advance_to: Annotated[
        TicketState | None, typer.Option("--to", help="What was done about one of them.")
    ] = None,
    list_name: Annotated[str, typer.Option("--list", help="Of these alone; with --to needed.")] = "",
    entry: Annotated[str, typer.Option(help="Id of the entry that --to is about.")] = "",
    note: Annotated[str, typer.Option(help="What the owner answered.")] = "",
    purpose: PurposeOption = "hit-verification",
    case: CaseOption = "",
    root: RootOption = DEFAULT_ROOT,
) -> None:
    """Show entries to be corrected by the list's owner, write them to a file, or say what was done."""
    department, actor = open_department(root), person_at_console(purpose, case)
    catch_up(department.engine)
    if advance_to is not None:
        advance(
            department.engine,
            list_name,
            entry,
            state=advance_to.value,
            note=note,
            actor=actor,
            now=clock.now(),
        )
        typer.echo(f"{list_name}, {entry}: {advance_to.value}")
        return
    with reading(department.engine) as connection:
        found = [each for each in tickets(connection) if not list_name or each.list_name == list_name]
    detail = {"list": list_name[:128], "tickets": len(found), "shown": [each.read_id for each in found]}
    _record(department, actor, "hits.export_corrections" if out else "hits.view_corrections", detail)
    if out is not None:
        text = as_csv(found, department.settings.department.name, actor.name, clock.now())
        try:
            write_private(out, text.encode())
        except FileExistsError:
            raise HitRefusedError(f"{out} exists: nothing is overwritten; choose another file") from None
        typer.echo(f"{out}: {len(found)} entries")
        return
    for each in found:
        again = "  LISTED AGAIN AFTER THE ANSWER" if each.listed_again else ""
        typer.echo(
            f"{each.state.value:9} {each.list_name}, {each.entry_id}  {each.pattern}  {each.hits} hits{again}"
        )


def _only(department: Department, read_id: str) -> str:
    with reading(department.engine) as connection:
        found = hit_ids(connection, read_id)
    if len(found) > 1:
        raise HitRefusedError(f"this read met several entries: name one of the hits {', '.join(found)}")
    return found[0] if found else ""


def _one_of(name: str, text: str, words: tuple[str, ...]) -> str:
    if text not in words:
        raise HitRefusedError(f"{name} is one of: {', '.join(words)}")
    return text


def _period(since: str, until: str) -> Period:
    try:
        return period_of(since, until, clock.now())
    except ValueError as error:
        raise HitRefusedError(str(error)) from None


def _record(department: Department, actor: Actor, action: str, detail: dict[str, Any]) -> None:
    with writing(department.engine) as connection:
        append(connection, actor.deed(action, detail), clock.now())


def _line(hit: Hit) -> str:
    came = hit.disposition or "no disposition"
    return (
        f"{hit.read.read_id} {hit.hit_id}  {hit.read.settled_at:%Y-%m-%d %H:%M}Z  "
        f"{hit.priority.name.lower()}  {hit.read.plate} / {hit.pattern}  {hit.list_name}  "
        f"{hit.read.unit_id}  {hit.standing}: {came}{'  CONTRADICTS THE CAR' if hit.contradicted else ''}"
    )


def _tell(name: str, found: Measure) -> None:
    whole = found.whole
    typer.echo(f"  {name}, all: right {in_words(whole.right)}")
    typer.echo(f"    misread {in_words(whole.misread)}; wrong state {in_words(whole.wrong_state)}")
    for title, rows in found.by:
        for row in rows:
            typer.echo(f"  {title} {row.name}: right {in_words(row.right)}")
    for each in found.characters:
        truly = ", ".join(f"{true or 'nothing'} {count}" for true, count in each.taken_for)
        typer.echo(f"  read {each.read}: wrong {in_words(each.wrong)}; truly {truly}")
