"""The department side: batches come in, receipts go out; reads are kept, and shown for a purpose."""

from server.errors import (
    AuditBrokenError,
    BatchConflictError,
    NotPermittedError,
    ServerError,
    SettingsInvalidError,
    StoreUnavailableError,
)

__all__ = [
    "AuditBrokenError",
    "BatchConflictError",
    "NotPermittedError",
    "ServerError",
    "SettingsInvalidError",
    "StoreUnavailableError",
]
