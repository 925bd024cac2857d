"""Waits for Google's long-running operations from asyncio: many at once, within one budget of polls."""

from __future__ import annotations

from .engine.budget import Budget
from .engine.cadence import BackoffFactory
from .engine.history import History
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
from .names import NamePattern
from .operation import Operation
from .poller import OperationPoller, WaitOptions
from .services import WORKSPACE_EVENTS, WORKSPACE_EVENTS_V1, Dialect, Quota, Service
from .stats import Stats
from .status import (
    BadRequest,
    Code,
    DebugInfo,
    ErrorInfo,
    Help,
    LocalizedMessage,
    PreconditionFailure,
    QuotaFailure,
    RequestInfo,
    ResourceInfo,
    RetryInfo,
    Status,
)
from .submission import Submittable
from .terms import AtDeadline, Progress
from .transports import Transport
from .version import __version__

__all__ = [
    "WORKSPACE_EVENTS",
    "WORKSPACE_EVENTS_V1",
    "Aborted",
    "AlreadyExists",
    "AtDeadline",
    "BackoffError",
    "BackoffFactory",
    "BadRequest",
    "Budget",
    "Cancelled",
    "Code",
    "CredentialsError",
    "DataLoss",
    "DeadlineExceeded",
    "DebugInfo",
    "DecodeError",
    "Dialect",
    "ErrorInfo",
    "FailedPrecondition",
    "Help",
    "History",
    "Internal",
    "InvalidArgument",
    "InvalidOperationName",
    "LocalizedMessage",
    "LroError",
    "NamePattern",
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
    "PreconditionFailure",
    "Progress",
    "Quota",
    "QuotaFailure",
    "RequestInfo",
    "ResourceExhausted",
    "ResourceInfo",
    "RetryInfo",
    "Service",
    "Stats",
    "Status",
    "Submittable",
    "Transport",
    "Unauthenticated",
    "Unavailable",
    "Unimplemented",
    "Unknown",
    "Updates",
    "WaitOptions",
    "__version__",
]
