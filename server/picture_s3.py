"""A bucket of any service that speaks S3 as the place for pictures.

Credentials come from where every S3 program looks for them (environment, ~/.aws, the instance's role), never
from `server.toml`. The bucket must not keep old versions of what is deleted: a purge would destroy nothing.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, TypeVar

import structlog

from server.errors import SettingsInvalidError
from server.picture_store import PictureLostError, PictureStoreError

_log = structlog.get_logger(__name__)

_AT_ONCE = 1000
"""So many names one request may delete."""
_MISSING = ("NoSuchKey", "404")
_T = TypeVar("_T")


class S3Store:
    """See `picture_store.PictureStore`."""

    def __init__(self, bucket: str, prefix: str, endpoint: str = "") -> None:
        """Of the *bucket*; names begin with *prefix*. An empty *endpoint* is Amazon's.

        Raises SettingsInvalidError if boto3 is not installed or the bucket keeps what is deleted,
        PictureStoreError if it does not answer.
        """
        try:
            import boto3
            from botocore.config import Config
        except ModuleNotFoundError:
            raise SettingsInvalidError(
                "pictures in a bucket need boto3: install alpr-edge[server,s3]"
            ) from None
        patience = Config(connect_timeout=5, read_timeout=20, retries={"mode": "standard", "max_attempts": 3})
        self._bucket, self._prefix = bucket, prefix
        self._client: Any = boto3.client("s3", endpoint_url=endpoint or None, config=patience)
        self._require_no_versions()

    def put(self, name: str, content: bytes) -> None:
        """See `PictureStore`."""
        self._asked(
            lambda: self._client.put_object(
                Bucket=self._bucket,
                Key=self._prefix + name,
                Body=content,
                ContentType="application/octet-stream",
            )
        )

    def get(self, name: str) -> bytes:
        """See `PictureStore`."""

        def fetch() -> bytes:
            answer = self._client.get_object(Bucket=self._bucket, Key=self._prefix + name)
            body: bytes = answer["Body"].read()
            return body

        return self._asked(fetch)

    def remove(self, names: Sequence[str]) -> None:
        """See `PictureStore`."""
        for start in range(0, len(names), _AT_ONCE):
            keys = [{"Key": self._prefix + name} for name in names[start : start + _AT_ONCE]]
            request = {"Objects": keys, "Quiet": True}
            answer: dict[str, Any] = self._asked(
                partial(self._client.delete_objects, Bucket=self._bucket, Delete=request)
            )
            if refused := answer.get("Errors"):
                raise PictureStoreError(
                    f"bucket {self._bucket}: {len(refused)} pictures were not deleted ({refused[0]['Code']})"
                )

    def names(self) -> Iterator[str]:
        """See `PictureStore`."""
        pages = iter(
            self._client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=self._prefix)
        )
        while (page := self._asked(lambda: next(pages, None))) is not None:
            for each in page.get("Contents", ()):
                yield str(each["Key"]).removeprefix(self._prefix)

    def _require_no_versions(self) -> None:
        try:
            found = self._asked(lambda: self._client.get_bucket_versioning(Bucket=self._bucket))
        except PictureStoreError as error:
            if "AccessDenied" not in str(error):
                raise
            # The account may not ask. Whoever set the bucket up must know.
            _log.warning("bucket not checked", why="not allowed to ask whether it keeps deleted versions")
            return
        if found.get("Status") in ("Enabled", "Suspended"):
            raise SettingsInvalidError(
                f"bucket {self._bucket} keeps old versions, so a purge would not destroy pictures: "
                "use one that never had versioning"
            )

    def _asked(self, request: Callable[[], _T]) -> _T:
        from boto3.exceptions import Boto3Error
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            return request()
        except ClientError as error:
            code = str(error.response.get("Error", {}).get("Code", "unknown"))
            if code in _MISSING:
                raise PictureLostError(f"bucket {self._bucket}: holds no such picture") from None
            raise PictureStoreError(f"bucket {self._bucket}: answered {code}") from None
        except (BotoCoreError, Boto3Error, OSError) as error:
            # Never the error's text: it may quote addresses with names in them.
            raise PictureStoreError(f"bucket {self._bucket}: no answer ({type(error).__name__})") from None
