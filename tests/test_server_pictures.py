"""Pictures leave the database for a folder or a bucket, come back, and are destroyed with their reads."""

import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path

import boto3
import pytest
from moto.server import ThreadedMotoServer
from sqlalchemy import delete, select, update
from typer.testing import CliRunner

from camera.frame import Moment, TimeQuality
from recognizer.read import PlateRead
from server.cli import app
from server.database import reading, writing
from server.department import Department
from server.errors import SettingsInvalidError
from server.evidence_files import files_on
from server.intake import Intake
from server.picture_s3 import S3Store
from server.picture_store import (
    FolderStore,
    PictureKey,
    PictureLostError,
    PictureStore,
    PictureStoreError,
    picture_key,
)
from server.pictures import Pictures, note, open_pictures, outstanding
from server.records import ReadQuery, StoredRead, find_reads, get_read
from server.scenes import shown_scene
from server.settings import PictureSettings
from server.tables import evidence, picture_notes
from server.tables import reads as stored_reads
from sync.batch import Batch, encode_batch
from sync.errors import WireFormatError
from sync.record import encode_record
from tests.databases import Database
from tests.departments import NOW, a_department, a_unit
from tests.fakes import a_hit, a_read

DAY = timedelta(days=1)
NAME = "ab" * 32


@dataclass
class Shaky:
    """A store in memory that may be away."""

    held: dict[str, bytes] = field(default_factory=dict)
    away: bool = False
    puts_until_away: int = -1

    def put(self, name: str, content: bytes) -> None:
        """See `PictureStore`."""
        self._answer()
        if self.puts_until_away == 0:
            raise PictureStoreError("gone in the middle")
        self.puts_until_away -= 1
        self.held[name] = content

    def get(self, name: str) -> bytes:
        """See `PictureStore`."""
        self._answer()
        if name not in self.held:
            raise PictureLostError("no such picture")
        return self.held[name]

    def remove(self, names: Sequence[str]) -> None:
        """See `PictureStore`."""
        self._answer()
        for name in names:
            self.held.pop(name, None)

    def names(self) -> Iterator[str]:
        """See `PictureStore`."""
        self._answer()
        yield from list(self.held)

    def _answer(self) -> None:
        if self.away:
            raise PictureStoreError("away")


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def bucket(s3: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return the name of a new bucket."""
    for name, value in (
        ("AWS_ACCESS_KEY_ID", "nobody"),
        ("AWS_SECRET_ACCESS_KEY", "nothing"),
        ("AWS_DEFAULT_REGION", "us-east-1"),
    ):
        monkeypatch.setenv(name, value)
    name = f"pictures-{secrets.token_hex(4)}"
    boto3.client("s3", endpoint_url=s3).create_bucket(Bucket=name)
    return name


@pytest.fixture(params=["folder", "bucket"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> PictureStore:
    if request.param == "folder":
        return FolderStore(tmp_path / "pictures")
    return S3Store(request.getfixturevalue("bucket"), "of-us/", request.getfixturevalue("s3"))


@pytest.fixture
def department(database: Database, tmp_path: Path) -> Iterator[Department]:
    made = database.department(tmp_path / "department")
    yield made
    made.engine.dispose()


def bring(department: Department, folder: Path, count: int) -> list[PlateRead]:
    unit = a_unit(department, folder)
    moment = Moment(NOW, 1, "boot", TimeQuality.GPS)
    reads = [
        replace(a_read(evidence=b"\xff\xd8" + secrets.token_bytes(900)), settled=moment) for _ in range(count)
    ]
    intake = Intake(department.engine, department.keys, department.folder.quarantine)
    intake.take(unit.peer, unit.batch(reads), NOW)
    return reads


def outside(department: Department, store: PictureStore) -> Pictures:
    return Pictures(department.engine, store, PictureKey(b"k" * 32), DAY)


def held(department: Department, read_id: str) -> StoredRead:
    with reading(department.engine) as connection:
        found = get_read(connection, read_id)
    assert found is not None
    return found


def fetched(pictures: Pictures, read: StoredRead) -> bytes:
    assert read.picture_name is not None
    return pictures.fetch(read.read_id, read.picture_name)


def notes(department: Department) -> int:
    with reading(department.engine) as connection:
        return len(connection.execute(select(picture_notes.c.name)).all())


def test_what_is_put_comes_back_until_it_is_removed(store: PictureStore) -> None:
    store.put(NAME, b"a picture")
    assert store.get(NAME) == b"a picture"
    assert list(store.names()) == [NAME]
    store.remove([NAME, "cd" * 32])
    assert list(store.names()) == []
    with pytest.raises(PictureLostError):
        store.get(NAME)


def test_putting_again_replaces(store: PictureStore) -> None:
    store.put(NAME, b"first")
    store.put(NAME, b"second")
    assert store.get(NAME) == b"second"


def test_more_than_a_request_can_name_is_removed(store: PictureStore) -> None:
    names = [f"{n:064x}" for n in range(1100)]
    for name in names[::100]:
        store.put(name, b"x")
    store.remove(names)
    assert list(store.names()) == []


def test_pictures_move_out_and_are_the_same(
    department: Department, store: PictureStore, tmp_path: Path
) -> None:
    reads = bring(department, tmp_path / "unit", 5)
    pictures = outside(department, store)
    assert pictures.move_out(NOW + DAY / 2) == 0  # they are too young
    assert pictures.move_out(NOW + 2 * DAY, most=3) == 3
    assert pictures.move_out(NOW + 2 * DAY, most=3) == 2
    assert pictures.move_out(NOW + 2 * DAY, most=3) == 0
    with reading(department.engine) as connection:
        assert set(connection.execute(select(evidence.c.jpeg)).scalars()) == {b""}
        found = pictures.filled(find_reads(connection, ReadQuery(), 10, 0))
    assert {read.read_id: read.evidence for read in found} == {r.read_id: r.evidence for r in reads}
    assert fetched(pictures, held(department, reads[0].read_id)) == reads[0].evidence
    assert notes(department) == 0


def test_the_store_learns_nothing_of_pictures_and_reads(department: Department, tmp_path: Path) -> None:
    reads = bring(department, tmp_path / "unit", 2)
    store = Shaky()
    outside(department, store).move_out(NOW + 2 * DAY)
    assert len(store.held) == 2
    for name, content in store.held.items():
        for read in reads:
            assert read.read_id not in name
            assert read.evidence[2:40] not in content


def test_two_reads_with_one_picture_each_have_their_own(department: Department, tmp_path: Path) -> None:
    key = PictureKey(b"k" * 32)
    assert key.name_of("a", b"picture") != key.name_of("b", b"picture")
    assert key.name_of("a", b"picture") != key.name_of("a", b"another")
    assert key.name_of("a", b"picture") != PictureKey(b"l" * 32).name_of("a", b"picture")


def test_a_store_that_is_away_loses_nothing(department: Department, tmp_path: Path) -> None:
    reads = bring(department, tmp_path / "unit", 3)
    store = Shaky(away=True)
    with pytest.raises(PictureStoreError):
        outside(department, store).move_out(NOW + 2 * DAY)
    assert held(department, reads[0].read_id).evidence == reads[0].evidence
    store.away = False
    assert outside(department, store).move_out(NOW + 2 * DAY) == 3


def test_what_was_cut_off_in_the_middle_leaves_no_picture_without_a_read(
    department: Department, tmp_path: Path
) -> None:
    reads = bring(department, tmp_path / "unit", 20)
    store = Shaky(puts_until_away=7)
    with pytest.raises(PictureStoreError):
        outside(department, store).move_out(NOW + 2 * DAY)
    assert store.held and notes(department) == 20
    for read in reads:
        assert held(department, read.read_id).evidence == read.evidence
    store.puts_until_away = -1
    pictures = outside(department, store)
    assert pictures.sweep(NOW + 2 * DAY) == 0  # another mover may be at it
    pictures.sweep(NOW + 3 * DAY)
    assert not store.held and notes(department) == 0
    assert pictures.move_out(NOW + 3 * DAY) == 20
    assert pictures.check().stray == ()


def test_moved_again_after_a_cut_its_old_note_does_not_destroy_it(
    department: Department, tmp_path: Path
) -> None:
    reads = bring(department, tmp_path / "unit", 1)
    store = Shaky()
    pictures = outside(department, store)
    pictures.move_out(NOW + 2 * DAY)
    name = held(department, reads[0].read_id).picture_name
    assert name is not None
    with writing(department.engine) as connection:
        note(connection, [name], NOW)  # as if the notes had not been struck
    pictures.sweep(NOW + 3 * DAY)
    assert fetched(pictures, held(department, reads[0].read_id)) == reads[0].evidence


def test_a_sweep_and_a_mover_at_once_lose_no_picture(department: Department, tmp_path: Path) -> None:
    reads = bring(department, tmp_path / "unit", 5)
    store = Shaky(puts_until_away=3)
    with pytest.raises(PictureStoreError):
        outside(department, store).move_out(NOW + 2 * DAY)
    store.puts_until_away = -1
    mover = outside(department, store)

    class Meanwhile(Shaky):
        """While it removes, another process moves."""

        def remove(self, names: Sequence[str]) -> None:
            """See `PictureStore`."""
            mover.move_out(NOW + 4 * DAY)
            store.remove(names)

    outside(department, Meanwhile(held=store.held)).sweep(NOW + 4 * DAY)
    while mover.move_out(NOW + 4 * DAY):
        pass
    for read in reads:
        assert fetched(mover, held(department, read.read_id)) == read.evidence
    assert mover.check().missing == ()


def test_a_picture_that_was_altered_or_swapped_is_told_not_shown(
    department: Department, tmp_path: Path
) -> None:
    reads = bring(department, tmp_path / "unit", 3)
    store = Shaky()
    pictures = outside(department, store)
    pictures.move_out(NOW + 2 * DAY)
    first, second, third = (held(department, read.read_id) for read in reads)
    names = [first.picture_name, second.picture_name, third.picture_name]
    assert all(names)
    flipped = bytearray(store.held[str(names[0])])
    flipped[-1] ^= 1
    store.held[str(names[0])] = bytes(flipped)
    store.held[str(names[1])] = store.held[str(names[2])]
    for read in (first, second):
        with pytest.raises(PictureLostError):
            fetched(pictures, read)
    shown = pictures.filled([first, second, third])
    assert [bool(read.picture_problem) for read in shown] == [True, True, False]
    assert [read.evidence for read in shown] == [b"", b"", reads[2].evidence]


def test_a_store_that_does_not_answer_is_told_beside_the_read(department: Department, tmp_path: Path) -> None:
    bring(department, tmp_path / "unit", 1)
    store = Shaky()
    pictures = outside(department, store)
    pictures.move_out(NOW + 2 * DAY)
    store.away = True
    with reading(department.engine) as connection:
        (read,) = pictures.filled(find_reads(connection, ReadQuery(), 10, 0))
    assert read.picture_problem == "The store of pictures does not answer now."


def test_check_names_what_is_missing_and_what_is_stray(department: Department, tmp_path: Path) -> None:
    reads = bring(department, tmp_path / "unit", 3)
    store = Shaky()
    pictures = outside(department, store)
    pictures.move_out(NOW + 2 * DAY)
    gone = str(held(department, reads[1].read_id).picture_name)
    del store.held[gone]
    store.held[NAME] = b"of nobody"
    found = pictures.check()
    assert (found.held, found.missing, found.stray) == (3, (gone,), (NAME,))


def test_a_read_that_is_purged_while_its_picture_moves_leaves_none_outside(
    department: Department, tmp_path: Path
) -> None:
    bring(department, tmp_path / "unit", 3)

    class Meanwhile(Shaky):
        """While it puts the first picture, a purge removes all reads."""

        def put(self, name: str, content: bytes) -> None:
            """See `PictureStore`."""
            with writing(department.engine) as connection:
                connection.execute(delete(evidence))
                connection.execute(delete(stored_reads))
            super().put(name, content)

    store = Meanwhile()
    pictures = outside(department, store)
    assert pictures.move_out(NOW + 2 * DAY) == 0 and store.held
    with reading(department.engine) as connection:
        assert outstanding(connection)
    pictures.sweep(NOW + 2 * DAY)
    assert not store.held and notes(department) == 0


def test_notes_of_purged_reads_wait_for_nobody(department: Department, tmp_path: Path) -> None:
    store = Shaky({NAME: b"x"})
    with writing(department.engine) as connection:
        note(connection, [NAME], NOW, purged=True)
        assert outstanding(connection)
    outside(department, store).sweep(NOW)
    assert not store.held
    with reading(department.engine) as connection:
        assert not outstanding(connection)


def test_a_bucket_that_keeps_versions_is_refused(s3: str, bucket: str) -> None:
    boto3.client("s3", endpoint_url=s3).put_bucket_versioning(
        Bucket=bucket, VersioningConfiguration={"Status": "Enabled"}
    )
    with pytest.raises(SettingsInvalidError, match="old versions"):
        S3Store(bucket, "", s3)


def test_a_bucket_that_is_not_there_is_told(s3: str, bucket: str) -> None:
    with pytest.raises(PictureStoreError, match="NoSuchBucket"):
        S3Store("another-bucket", "", s3)


def test_a_service_that_does_not_answer_is_told(bucket: str) -> None:
    with pytest.raises(PictureStoreError, match="no answer"):
        S3Store(bucket, "", "http://127.0.0.1:9")


@pytest.mark.parametrize("url", ["pictures", "file://host/folder", "file:folder", "s3:///x", "https://x/y"])
def test_an_address_of_no_store_is_refused(department: Department, url: str) -> None:
    with pytest.raises(SettingsInvalidError, match="pictures"):
        open_pictures(department.engine, PictureSettings(url), department.folder.keys)


def test_the_key_is_made_once_and_readable_for_its_owner_alone(tmp_path: Path) -> None:
    first = picture_key(tmp_path)
    assert picture_key(tmp_path) == first
    assert (tmp_path / "pictures.key").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["pictures.key"]
    (tmp_path / "pictures.key").write_text("short")
    with pytest.raises(SettingsInvalidError, match="backup"):
        picture_key(tmp_path)


def test_without_a_store_pictures_stay_and_one_that_moved_is_missed_aloud(
    department: Department, tmp_path: Path
) -> None:
    reads = bring(department, tmp_path / "unit", 2)
    nowhere = open_pictures(department.engine, PictureSettings(), department.folder.keys)
    assert nowhere.move_out(NOW + 2 * DAY) == 0
    outside(department, Shaky()).move_out(NOW + 2 * DAY)
    with pytest.raises(PictureStoreError, match="url is empty"):
        fetched(nowhere, held(department, reads[0].read_id))


def test_a_store_is_opened_as_the_settings_say(
    department: Department, tmp_path: Path, s3: str, bucket: str
) -> None:
    reads = bring(department, tmp_path / "unit", 1)
    for settings in (
        PictureSettings(f"file://{tmp_path}/pictures"),
        PictureSettings(f"s3://{bucket}/a/b", s3),
    ):
        opened = open_pictures(department.engine, settings, department.folder.keys)
        with writing(department.engine) as connection:
            connection.execute(update(evidence).values(jpeg=reads[0].evidence, object=None))
        assert opened.move_out(NOW + 2 * DAY) == 1
        assert opened.check().missing == ()
    names = [
        each["Key"] for each in boto3.client("s3", endpoint_url=s3).list_objects_v2(Bucket=bucket)["Contents"]
    ]
    assert all(name.startswith("a/b/") for name in names) and len(names) == 1
    assert len(list((tmp_path / "pictures").glob("??/*"))) == 1


def test_a_package_of_evidence_holds_the_picture_from_outside(department: Department, tmp_path: Path) -> None:
    reads = bring(department, tmp_path / "unit", 1)
    pictures = outside(department, Shaky())
    pictures.move_out(NOW + 2 * DAY)
    ids = [reads[0].read_id]
    found = files_on(department.engine, ids, bytes(32), NOW + 3 * DAY, pictures.fetch)
    assert found.files["reads/0001.jpg"] == reads[0].evidence


def test_no_package_is_made_without_a_picture_that_cannot_be_had(
    department: Department, tmp_path: Path
) -> None:
    reads = bring(department, tmp_path / "unit", 1)
    store = Shaky()
    pictures = outside(department, store)
    pictures.move_out(NOW + 2 * DAY)
    store.held.clear()
    with pytest.raises(PictureLostError):
        files_on(department.engine, [reads[0].read_id], bytes(32), NOW + 3 * DAY, pictures.fetch)


def test_commands_move_and_check(tmp_path: Path) -> None:
    made = a_department(tmp_path / "department")
    settings = made.folder.settings
    settings.write_text(
        settings.read_text().replace('url = ""\nendpoint', f'url = "file://{tmp_path}/pictures"\nendpoint')
    )
    bring(made, tmp_path / "unit", 3)
    made.engine.dispose()
    run = CliRunner().invoke
    moved = run(app, ["pictures", "move", "--department", str(made.folder.root)])
    assert (moved.exit_code, moved.output) == (0, "3 pictures moved out of the database\n")
    assert run(app, ["pictures", "check", "--department", str(made.folder.root)]).exit_code == 0
    next((tmp_path / "pictures").glob("??/*")).unlink()
    checked = run(app, ["pictures", "check", "--department", str(made.folder.root)])
    assert checked.exit_code == 1
    assert "3 pictures outside, 1 missing, 0 stray" in checked.output


def with_a_scene(department: Department, folder: Path) -> tuple[PlateRead, bytes]:
    unit, read = a_unit(department, folder), a_read()
    scene = b"\xff\xd8" + secrets.token_bytes(3000)
    sealer = unit.sealer()
    sealed = sealer.seal(read.read_id, encode_record(unit.unit_id, read, [a_hit(read)], context=scene))
    batch = Batch("scene", unit.unit_id, NOW, (sealer.epoch,), (sealed,))
    intake = Intake(department.engine, department.keys, department.folder.quarantine)
    intake.take(unit.peer, encode_batch(batch, unit.signing_key), NOW)
    return read, scene


def test_the_scene_of_a_hit_moves_out_too_and_is_the_same(department: Department, tmp_path: Path) -> None:
    read, scene = with_a_scene(department, tmp_path / "unit")
    store = Shaky()
    pictures = outside(department, store)
    for moved in (0, 1, 2):
        with reading(department.engine) as connection:
            assert shown_scene(connection, read.read_id, pictures) == (scene, "")
        assert len(store.held) == moved
        pictures.move_out(NOW + 200 * DAY)
    assert pictures.move_out(NOW + 200 * DAY) == 0
    store.held.clear()
    with reading(department.engine) as connection:
        lost, why = shown_scene(connection, read.read_id, pictures)
    assert lost == b"" and "lost" in why


def test_the_scene_goes_into_the_evidence_package(department: Department, tmp_path: Path) -> None:
    read, scene = with_a_scene(department, tmp_path / "unit")
    pictures = outside(department, Shaky())
    found = files_on(department.engine, [read.read_id], bytes(32), NOW + DAY, pictures.fetch)
    assert found.files["reads/0001-scene.jpg"] == scene


def test_a_scene_of_no_hit_is_refused(department: Department, tmp_path: Path) -> None:
    unit, read = a_unit(department, tmp_path / "unit"), a_read()
    sealer = unit.sealer()
    sealed = sealer.seal(read.read_id, encode_record(unit.unit_id, read, [], context=b"\xff\xd8"))
    batch = Batch("scene", unit.unit_id, NOW, (sealer.epoch,), (sealed,))
    intake = Intake(department.engine, department.keys, department.folder.quarantine)
    with pytest.raises(WireFormatError, match="context"):
        intake.take(unit.peer, encode_batch(batch, unit.signing_key), NOW)
