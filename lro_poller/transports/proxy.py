"""The proxy that the environment names.

Decides which one is used, for an origin. What else aiohttp reads from the environment, the logins of
~/.netrc among it, is nobody's to send along.
"""

from __future__ import annotations

from urllib.request import getproxies_environment, proxy_bypass

from yarl import URL

__all__ = ["proxy_of_environment"]


def proxy_of_environment(origin: URL) -> URL | None:
    """The proxy that HTTPS_PROXY names, or ALL_PROXY; None where there is none, or NO_PROXY names the host.

    Plain HTTP goes through none: it would show the proxy what it carries, and is for loopback.

    Raises:
        ValueError: what they name is no proxy that requests can be sent through. It is not shown: a password may be
            in it.
    """
    proxies = getproxies_environment()
    told = proxies.get("https") or proxies.get("all")
    names = {origin.host, origin.host_subcomponent}  # as people write it, in ASCII, in brackets
    if not told or origin.scheme != "https" or any(proxy_bypass(f"{name}:{origin.port}") for name in names):
        return None
    try:
        proxy = URL(told if "://" in told else f"http://{told}")
    except ValueError:
        proxy = URL()
    if proxy.scheme not in ("http", "https") or not proxy.host:
        raise ValueError("HTTPS_PROXY, or ALL_PROXY, must be the URL of a proxy, such as http://proxy.example:3128")
    return proxy
