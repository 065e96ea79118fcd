"""The auditor's commands, as they are typed."""

import csv
import io
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from server import clock
from server.audit_checkpoints import Checkpoints
from server.cli import app
from server.department import Department
from server.errors import AuditBrokenError, SettingsInvalidError
from tests.auditors import searched, tamper
from tests.departments import a_department, audited, running


@pytest.fixture
def department(tmp_path: Path) -> Iterator[Department]:
    made = a_department(tmp_path / "department")
    searched(made.engine, "reyes", "TEST123", at=clock.now())
    yield made
    made.engine.dispose()


def run(department: Department, *words: str, typed: str = "") -> Result:
    arguments = [*words, "--department", str(department.folder.root)]
    return CliRunner().invoke(app, arguments, input=typed)


def verify(department: Department, *words: str) -> Result:
    return CliRunner().invoke(app, ["audit", "verify", str(department.folder.root), *words])


def line(result: Result, first: str) -> str:
    return next(line for line in result.output.splitlines() if line.startswith(first))


def test_a_new_department_has_its_audit_key_and_a_first_checkpoint(department: Department) -> None:
    assert (department.folder.keys / "audit.ed25519.key.pem").stat().st_mode & 0o777 == 0o600
    result = verify(department)
    assert result.exit_code == 0 and "1 checkpoints agree, 1 of them in the file" in result.output


def test_verify_prints_what_to_note_and_takes_it_again(department: Department, tmp_path: Path) -> None:
    first = verify(department)
    head, key = (line(first, name).split()[1] for name in ("head ", "key "))
    copy = tmp_path / "copy.jsonl"
    copy.write_bytes(department.folder.checkpoints.read_bytes())
    again = verify(department, "--head", head, "--key", key, "--copy", str(copy))
    assert again.exit_code == 0
    assert isinstance(verify(department, "--key", "0" * 64).exception, AuditBrokenError)
    assert isinstance(verify(department, "--head", "x").exception, SettingsInvalidError)
    assert [action for _, action, outcome in audited(department) if action == "audit.verify"] == [
        "audit.verify"
    ] * 3
    assert audited(department)[-1][2] == "refused"


def test_verify_finds_a_cut_log(department: Department) -> None:
    run(department, "audit", "checkpoint")
    tamper(department.engine, "DELETE FROM audit WHERE sequence = (SELECT max(sequence) FROM audit)")
    assert isinstance(verify(department).exception, AuditBrokenError)


def test_checkpoint_signs_now(department: Department) -> None:
    assert "checkpoint 2: entry 4" in run(department, "audit", "checkpoint").output
    assert "2 checkpoints agree, 2 of them in the file" in verify(department).output


def test_an_export_is_verified_without_the_department(department: Department, tmp_path: Path) -> None:
    out = tmp_path / "export.jsonl"
    made = run(
        department, "audit", "export", "--out", str(out), "--purpose", "investigation", "--case", "26-1"
    )
    assert made.exit_code == 0, made.output
    assert audited(department)[-1][1:] == ("audit.export", "success")
    key = line(verify(department), "key ").split()[1]
    found = CliRunner().invoke(app, ["audit", "verify-export", str(out), "--key", key])
    assert found.exit_code == 0 and "unbroken" in found.output and "Criminal investigation" in found.output
    out.write_bytes(out.read_bytes().replace(b"TEST123", b"TEST124"))
    changed = CliRunner().invoke(app, ["audit", "verify-export", str(out)])
    assert isinstance(changed.exception, AuditBrokenError)
    gone = CliRunner().invoke(app, ["audit", "verify-export", str(tmp_path / "gone")])
    assert isinstance(gone.exception, SettingsInvalidError)


def test_anybody_checks_an_export_with_python_alone(department: Department, tmp_path: Path) -> None:
    export, folder = tmp_path / "export.jsonl", tmp_path / "verifier"
    run(department, "audit", "export", "--out", str(export))
    written = CliRunner().invoke(app, ["audit", "offline-verifier", "--out", str(folder)])
    assert written.exit_code == 0, written.output

    def check(*words: str) -> subprocess.CompletedProcess[str]:
        # -S: nothing that was installed can be imported.
        command = [sys.executable, "-S", str(folder / "audit_offline.py"), *words]
        return subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env={}, check=False)

    key = line(verify(department), "key ").split()[1]
    whole = check("--key", key, str(export))
    assert (whole.returncode, whole.stderr) == (0, "") and "The export is whole." in whole.stdout
    assert "compare it" in check(str(export)).stdout
    assert check("--key", "0" * 64, str(export)).returncode == 1
    assert check().returncode == check(str(tmp_path / "gone")).returncode == 2
    export.write_bytes(export.read_bytes().replace(b"TEST123", b"TEST124"))
    changed = check("--key", key, str(export))
    assert changed.returncode == 1 and "was altered" in changed.stdout


@pytest.mark.parametrize("name", ["users", "outliers", "sample", "accounts", "access-log", "self-check"])
def test_a_report_is_written_and_recorded(department: Department, tmp_path: Path, name: str) -> None:
    out = tmp_path / "report.json"
    result = run(department, "audit", "report", name, "--format", "json", "--out", str(out))
    assert result.exit_code == 0, result.output
    assert json.loads(out.read_text())["purpose"] == "Audit or policy compliance"
    assert out.stat().st_mode & 0o777 == 0o600
    assert audited(department)[-1][1:] == ("audit.export", "success")
    again = run(department, "audit", "report", name, "--out", str(out))
    assert isinstance(again.exception, SettingsInvalidError)


def test_a_plate_is_asked_for_and_stands_in_no_argument(department: Department) -> None:
    result = run(department, "audit", "report", "plate", typed="test123\n")
    rows = list(csv.reader(io.StringIO(result.stdout)))
    assert ["reyes", "searched for it"] in [row[2:4] for row in rows]


@pytest.mark.parametrize(
    "words",
    [
        ("audit", "report", "all"),
        ("audit", "report", "users", "--format", "pdf"),
        ("audit", "report", "users", "--from", "1.3."),
        ("audit", "report", "users", "--purpose", "curiosity"),
        ("audit", "report", "users", "--purpose", "investigation"),
        ("policy", "--out", "policy.pdf"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(department: Department, words: tuple[str, ...]) -> None:
    error = run(department, *words).exception
    assert isinstance(error, SettingsInvalidError) and "\n" not in str(error)


def test_a_sample_is_drawn_and_judged(department: Department) -> None:
    drawn = run(department, "audit", "sample", "--count", "5")
    assert drawn.output == "1 drawn: 4\n"
    judged = run(department, "audit", "review", "4", "--verdict", "question", "--note", "why?")
    assert judged.output == "entry 4: question\n"
    report = run(department, "audit", "report", "sample")
    assert "question" in report.output and "why?" in report.output


def test_the_policy_is_written_in_both_forms_and_what_is_missing_told(
    department: Department, tmp_path: Path
) -> None:
    for name in ("policy.md", "policy.html"):
        result = run(department, "policy", "--out", str(tmp_path / name))
        assert result.exit_code == 0 and "title of the official custodian" in result.stderr
        assert "usage and privacy policy" in (tmp_path / name).read_text()
        assert audited(department)[-1][1] == "policy.export"


def test_the_public_numbers_are_written(department: Department, tmp_path: Path) -> None:
    out = tmp_path / "numbers.html"
    assert run(department, "transparency", "--out", str(out)).exit_code == 0
    assert "Licence plate readers in numbers" in out.read_text() and "reyes" not in out.read_text()
    assert audited(department)[-1][1] == "transparency.export"


def test_the_service_signs_the_head_by_itself(department: Department, tmp_path: Path) -> None:
    settings = department.folder.settings
    settings.write_text(settings.read_text().replace("checkpoint_entries = 1000", "checkpoint_entries = 1"))
    with running(department, tmp_path / "log"):
        checkpoints = Checkpoints(department.engine, department.folder, department.settings.audit)
        for _ in range(100):
            if checkpoints.check().checkpoints > 1:
                break
            time.sleep(0.1)
    assert checkpoints.check().checkpoints == 2
    assert "audit checkpoint" in (tmp_path / "log").read_text()
