"""A list's file on its way in, and what is told of it afterwards. No plate stands in either."""

import hashlib
import io
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any, BinaryIO

from hotlist_cache.importing import RefusedRow
from server.feed_files import Written

SHOWN_LINES = 10
"""So many line numbers are kept of the rows refused for one reason."""
MAX_REASONS = 40
"""A file of rubbish has a reason of its own for each row: beyond so many, they are counted together."""
_OTHER = "other reasons"
_UNKNOWN = "it deletes a record that is not listed"
_READ_BYTES = 1 << 20


class Delivery:
    """One file of a source: hashed as it is read, its refused rows counted."""

    def __init__(self, file: BinaryIO, name: str, source: str) -> None:
        """*file* is open at its start and stays its owner's to close; *source* is the format's name."""
        self.name = name
        self.source = source
        self._digest = hashlib.sha256()
        self._refused: Counter[str] = Counter()
        self._lines: dict[str, list[int]] = {}
        self._switched_off: Counter[str] = Counter()
        self.stream: BinaryIO = io.BufferedReader(_Hashed(file, self._digest.update), _READ_BYTES)
        """What to read the file through."""

    def refuse(self, row: RefusedRow) -> None:
        """Count *row* as one that was not taken."""
        if row.switched_off:
            self._switched_off[row.switched_off] += 1
            return
        why = row.why if row.why in self._refused or len(self._refused) < MAX_REASONS else _OTHER
        self._refused[why] += 1
        lines = self._lines.setdefault(why, [])
        if len(lines) < SHOWN_LINES:
            lines.append(row.line)

    def report(
        self, feed: str, before: int | None, written: Written, *, gone: int, actor: str, now: datetime
    ) -> "ImportReport":
        """Return what became of the file, which was read to its end; *gone* as in the report."""
        for line in written.unknown:
            self.refuse(RefusedRow(line, _UNKNOWN))
        return ImportReport(
            feed=feed,
            source=self.source,
            file=self.name,
            sha256=self._digest.hexdigest(),
            imported_by=actor,
            imported_at=now,
            before=before,
            after=written.count,
            taken=written.taken,
            duplicates=written.duplicates,
            replaced=written.replaced,
            deleted=written.deleted,
            refused=tuple(
                Refusals(why, n, tuple(self._lines[why])) for why, n in self._refused.most_common()
            ),
            switched_off=dict(sorted(self._switched_off.items())),
            kinds=written.kinds,
            gone=gone,
            come=written.count - (before or 0) + gone,
        )


@dataclass(frozen=True, slots=True)
class Refusals:
    """The rows that were refused for one reason."""

    why: str
    count: int
    lines: tuple[int, ...]
    """Of the first of them, from 1."""


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What one import did to a feed, or will do once it is approved."""

    feed: str
    source: str
    """The name of the format."""
    file: str
    sha256: str
    """Of the whole file, hexadecimal."""
    imported_by: str
    imported_at: datetime
    """Aware UTC."""
    before: int | None
    """Entries the feed listed; None: it is new."""
    after: int
    taken: int
    duplicates: int
    replaced: int
    deleted: int
    refused: tuple[Refusals, ...]
    """The commonest reason first."""
    switched_off: Mapping[str, int] = field(default_factory=dict)
    """How many rows of each list code that the agency does not take."""
    kinds: Mapping[str, int] = field(default_factory=dict)
    """How many of `after` stand on each list; the most first. Empty: it was not counted yet."""
    pending_id: int | None = None
    """Under which it waits for approval; None: it was applied."""
    gone: int | None = None
    """Of `before`, the entries of whose plate and jurisdiction none is listed any more. None: not counted."""
    come: int | None = None
    """Of `after`, those whose plate and jurisdiction was not listed before. None: not counted."""

    def detail(self) -> dict[str, Any]:
        """Return it as JSON holds it, for the access log."""
        return asdict(self) | {"imported_at": self.imported_at.isoformat()}

    def text(self) -> list[str]:
        """Return it as lines for a person."""
        before = "a new feed" if self.before is None else f"{self.before} before"
        lines = [
            f"feed {self.feed}: {self.after} entries, {before}",
            f"{self.taken} entries taken, {sum(each.count for each in self.refused)} rows refused, "
            f"{self.duplicates} duplicates, {self.replaced} replaced, {self.deleted} deleted, "
            f"{sum(self.switched_off.values())} of codes switched off",
        ]
        if self.before is not None and self.gone is not None:
            lines.append(f"{self.gone} of the entries before go, {self.come} new ones come")
        for each in self.refused:
            more = ", …" if each.count > len(each.lines) else ""
            lines.append(f"refused {each.count}: {each.why} (line {', '.join(map(str, each.lines))}{more})")
        lines += [f"switched off {code}: {count}" for code, count in self.switched_off.items()]
        lines += [f"on the list {name}: {count}" for name, count in self.kinds.items()]
        lines.append(f"{self.file}: {self.source}, SHA-256 {self.sha256}")
        return lines


def report_of(detail: Mapping[str, Any]) -> ImportReport:
    """Return the report that `ImportReport.detail` gave."""
    refused = tuple(Refusals(each["why"], each["count"], tuple(each["lines"])) for each in detail["refused"])
    imported_at = datetime.fromisoformat(detail["imported_at"])
    return ImportReport(**{**detail, "refused": refused, "imported_at": imported_at})


class _Hashed(io.RawIOBase):
    """Reads a file and hands every byte that was read to *update*."""

    def __init__(self, file: BinaryIO, update: Any) -> None:
        self._file = file
        self._update = update

    def readable(self) -> bool:
        return True

    def readinto(self, into: Any) -> int:
        data = self._file.read(len(into))
        self._update(data)
        into[: len(data)] = data
        return len(data)
