"""Every report that can be asked for, by its name: for the pages and for the commands."""

from dataclasses import dataclass, field
from datetime import datetime

from server.audit_checkpoints import Checkpoints
from server.audit_outliers import outliers, reach_of
from server.audit_period import Period
from server.audit_report import Imprint, Report
from server.audit_reports import access_log, by_account, by_plate, by_user
from server.audit_reviews import MOST_DRAWN, drawn, sample_report
from server.audit_selfcheck import self_check
from server.audit_unit_entries import all_entries
from server.database import reading
from server.department import Department
from server.purposes import label_of

REPORTS = {
    "users": "What each person did",
    "plate": "Who searched or saw one plate",
    "outliers": "What stands out",
    "sample": "Queries drawn for review",
    "accounts": "Accounts unused, training that lapses",
    "access-log": "Log of access, Cal. Civ. Code 1798.90.52",
    "self-check": "The access log's check of itself",
}


@dataclass(frozen=True, slots=True)
class Question:
    """What somebody wants to know, and why."""

    report: str
    period: Period
    asked_by: str
    purpose: str
    """A code of the pick list."""
    case_number: str = ""
    user: str = ""
    """Narrows "users"."""
    plate: str = field(default="", repr=False)
    """Of "plate"."""

    @property
    def detail(self) -> dict[str, object]:
        """What stands of it in the access log."""
        told = {"report": self.report, "period": str(self.period), "user": self.user, "plate": self.plate}
        return {name: value for name, value in told.items() if value}


def answer(department: Department, question: Question, now: datetime) -> Report:
    """Return the report.

    Raises ValueError, with what to tell the person, if there is no such one or it lacks something;
    AuditBrokenError if a unit's log cannot be read.
    """
    if question.report == "self-check":
        return self_check(department.engine, checkpoints_of(department), department.settings.audit, now)
    period, unseal = question.period, department.keys.unseal
    with reading(department.engine) as connection:
        match question.report:
            case "users":
                return by_user(all_entries(connection, period, unseal), question.user)
            case "plate":
                entries = all_entries(connection, period, unseal, plates=True)
                return by_plate(connection, entries, question.plate)
            case "outliers":
                entries = all_entries(connection, reach_of(period), unseal)
                return outliers(connection, entries, period, department.settings.audit)
            case "sample":
                return sample_report(drawn(connection, unseal, limit=MOST_DRAWN), period)
            case "accounts":
                return by_account(connection, department.settings.access, now)
            case "access-log":
                name = department.settings.department.name
                return access_log(all_entries(connection, period, unseal), name)
    raise ValueError(f"There is no such report: choose one of {', '.join(REPORTS)}.")


def imprint_of(department: Department, question: Question, now: datetime) -> Imprint:
    """Return what is printed on each copy of a report."""
    return Imprint(
        department.settings.department.name,
        question.period,
        question.asked_by,
        now,
        label_of(question.purpose),
        question.case_number,
    )


def checkpoints_of(department: Department) -> Checkpoints:
    """Return what signs and checks the department's access log."""
    return Checkpoints(department.engine, department.folder, department.settings.audit)
