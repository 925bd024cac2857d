"""What there is to poll."""

from __future__ import annotations

from .service import Dialect, Quota, Service
from .workspace_events import WORKSPACE_EVENTS, WORKSPACE_EVENTS_V1

__all__ = ["SERVICES", "WORKSPACE_EVENTS", "WORKSPACE_EVENTS_V1", "Dialect", "Quota", "Service", "find"]

SERVICES = {service.id: service for service in (WORKSPACE_EVENTS, WORKSPACE_EVENTS_V1)}
"""The services known by text, such as `workspaceevents:v1`."""


def find(service: Service | str) -> Service:
    """The service of a text such as `workspaceevents:v1`; a `Service` is returned as it is.

    Raises:
        ValueError: no service is known by that text.
        TypeError: it is neither.
    """
    if isinstance(service, Service):
        return service
    if not isinstance(service, str):
        raise TypeError(f"service must be a Service or a text such as 'workspaceevents:v1', not {service!r}")
    if service not in SERVICES:
        known = ", ".join(map(repr, SERVICES))
        raise ValueError(f"unknown service {service!r}; known by name are {known}; describe another by a Service")
    return SERVICES[service]
