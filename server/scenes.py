"""The scene around a hit, where its unit keeps any: looked at with one read alone, never in a list."""

from sqlalchemy import Connection, select

from server.integrity import part_of, scene_part
from server.picture_store import PictureLostError, PictureStoreError
from server.pictures import Fetch, Pictures
from server.tables import contexts, reads


def scene_of(connection: Connection, read_id: str, fetch: Fetch) -> bytes:
    """Return the scene of a read as JPEG; empty if none is held. What *fetch* raises comes out.

    Raises PictureLostError if it is not the one that came in.
    """
    held = connection.execute(
        select(contexts.c.jpeg, contexts.c.object, reads.c.row_digest)
        .outerjoin_from(reads, contexts, contexts.c.read_id == reads.c.read_id)
        .where(reads.c.read_id == read_id)
    ).first()
    if held is None:
        return b""
    jpeg: bytes = held.jpeg or b"" if held.object is None else fetch(read_id, held.object)
    if held.row_digest is not None and part_of(jpeg) != scene_part(held.row_digest):
        raise PictureLostError("the scene was damaged in the database: restore it from the backup")
    return jpeg


def shown_scene(connection: Connection, read_id: str, pictures: Pictures | None) -> tuple[bytes, str]:
    """Return the scene for a page, and why it cannot be shown, if so; both are empty if none is held."""

    def nowhere(_: str, __: str) -> bytes:
        raise PictureStoreError("no store is set")

    try:
        return scene_of(connection, read_id, nowhere if pictures is None else pictures.fetch), ""
    except PictureLostError:
        return b"", "The scene is lost: it is not held as it came in."
    except PictureStoreError:
        return b"", "The store of pictures does not answer now."
