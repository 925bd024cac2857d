"""Where a host is: its addresses, looked up in a thread that a process can leave behind.

asyncio looks them up in its executor, whose threads are joined when a loop is closed: a name server that does not
answer would hold up the end of a program for as long as the resolver tries.
"""

from __future__ import annotations

import functools
import ipaddress
import socket
from collections.abc import Sequence
from typing import Any, TypeAlias

from ..threads import in_daemon_thread

__all__ = ["AddressInfo", "look_up"]

AddressInfo: TypeAlias = tuple[socket.AddressFamily, socket.SocketKind, int, str, tuple[Any, ...]]
"""As `socket.getaddrinfo` has it."""


async def look_up(host: str, port: int, family: int = socket.AF_UNSPEC) -> Sequence[AddressInfo]:
    """The addresses of a host; an address as such needs no thread.

    Raises:
        socket.gaierror: it has none, or nobody can say.
    """
    ask = functools.partial(socket.getaddrinfo, host, port, family, socket.SOCK_STREAM)
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return await in_daemon_thread(ask)
    return ask(flags=socket.AI_NUMERICHOST)
