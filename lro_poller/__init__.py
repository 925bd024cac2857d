"""Waits for Google's long-running operations from asyncio: many at once, within one budget of polls."""

from __future__ import annotations

from .engine.budget import Budget
from .engine.forecast import History
from .errors import (
    Aborted,
    AlreadyExists,
    BackoffError,
    Cancelled,
    CredentialsError,
    DataLoss,
    DeadlineExceeded,
    DecodeError,
    FailedPrecondition,
    Internal,
    InvalidArgument,
    InvalidOperationName,
    LroError,
    NotFound,
    OperationError,
    OutOfRange,
    PermissionDenied,
    PollerClosed,
    PollError,
    PollTimeout,
    ResourceExhausted,
    Unauthenticated,
    Unavailable,
    Unimplemented,
    Unknown,
)
from .future import OperationFuture, Updates
from .operation import Operation
from .poller import OperationPoller
from .services import WORKSPACE_EVENTS, WORKSPACE_EVENTS_V1, Quota, Service
from .stats import Stats
from .status import Code, Status
from .version import __version__

__all__ = [
    "WORKSPACE_EVENTS",
    "WORKSPACE_EVENTS_V1",
    "Aborted",
    "AlreadyExists",
    "BackoffError",
    "Budget",
    "Cancelled",
    "Code",
    "CredentialsError",
    "DataLoss",
    "DeadlineExceeded",
    "DecodeError",
    "FailedPrecondition",
    "History",
    "Internal",
    "InvalidArgument",
    "InvalidOperationName",
    "LroError",
    "NotFound",
    "Operation",
    "OperationError",
    "OperationFuture",
    "OperationPoller",
    "OutOfRange",
    "PermissionDenied",
    "PollError",
    "PollTimeout",
    "PollerClosed",
    "Quota",
    "ResourceExhausted",
    "Service",
    "Stats",
    "Status",
    "Unauthenticated",
    "Unavailable",
    "Unimplemented",
    "Unknown",
    "Updates",
    "__version__",
]
