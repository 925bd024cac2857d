"""The server that is polled: nginx where it is installed, else a small one in Python.

Decides which one runs and how; both give every request the same pending operation. Batches,
which nginx cannot answer, it hands on to the small one. They listen on free ports of
127.0.0.1, plain and TLS, under a certificate made for the run, and end with the benchmark.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import trustme

from .scene import BATCH_PATH, BODY

__all__ = ["Server", "running"]

_START = 15.0  # seconds that a server may take to listen

_NGINX = """\
daemon off; master_process off; pid {folder}/pid; error_log stderr crit;
events {{ worker_connections 4096; }}
http {{
  access_log off; keepalive_requests 1000000000; keepalive_timeout 600s;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  upstream batches {{ server 127.0.0.1:{batches}; keepalive 64; }}
  server {{
    listen 127.0.0.1:{plain}; listen 127.0.0.1:{tls} ssl http2;
    ssl_certificate {folder}/chain.pem; ssl_certificate_key {folder}/chain.pem;
    location = {batch_path} {{
      proxy_pass http://batches; proxy_http_version 1.1; proxy_set_header Connection ""; client_max_body_size 0;
      proxy_buffers 64 8k; client_body_buffer_size 256k;
    }}
    location / {{ default_type "application/json; charset=UTF-8"; return 200 '{body}'; }}
  }}
}}
"""


@dataclass(frozen=True, slots=True)
class Server:
    """Where it listens.

    Attributes:
        kind: What it is, for the record.
        plain: Its origin without TLS.
        tls: Its origin with TLS.
        authority: The file of the certificate authority that vouches for it.
    """

    kind: str
    plain: str
    tls: str
    authority: Path


@contextlib.contextmanager
def running(core: int | None) -> Iterator[Server]:
    """A server, pinned to a core where there is one to spare."""
    with tempfile.TemporaryDirectory(prefix="lro-poller-bench-") as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        authority = _certify(folder)
        plain, tls, batches, unused = _free_ports(4)
        nginx = _find_nginx()
        if nginx is None:
            stack.enter_context(_started(_responder(folder, plain, tls), (plain, tls), core))
        else:
            stack.enter_context(_started(_responder(folder, batches, unused), (batches, unused), core))
            stack.enter_context(_started(_nginx(nginx, folder, plain, tls, batches), (plain, tls), core))
        yield Server(_kind(nginx), f"http://127.0.0.1:{plain}", f"https://127.0.0.1:{tls}", authority)


@contextlib.contextmanager
def _started(command: list[str], ports: tuple[int, ...], core: int | None) -> Iterator[None]:
    """A process that listens, until it is no longer needed."""
    process = subprocess.Popen(command)
    try:
        if core is not None:
            os.sched_setaffinity(process.pid, {core})
        _await_listening(process, ports)
        yield
    finally:
        process.terminate()
        process.wait()


def _certify(folder: Path) -> Path:
    authority = trustme.CA()
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(folder / "chain.pem")
    authority.cert_pem.write_to_path(folder / "authority.pem")
    return folder / "authority.pem"


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [one.getsockname()[1] for one in sockets]


def _find_nginx() -> str | None:
    """Debian keeps it where users' PATH does not look."""
    return shutil.which("nginx", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/usr/local/sbin")


def _nginx(nginx: str, folder: Path, plain: int, tls: int, batches: int) -> list[str]:
    config = folder / "nginx.conf"
    text = _NGINX.format(
        folder=folder, plain=plain, tls=tls, batches=batches, batch_path=BATCH_PATH, body=BODY.decode()
    )
    config.write_text(text)
    return [nginx, "-p", str(folder), "-e", "stderr", "-c", str(config)]


def _responder(folder: Path, plain: int, tls: int) -> list[str]:
    return [sys.executable, "-m", "benchmarks.responder", str(folder / "chain.pem"), str(plain), str(tls)]


def _kind(nginx: str | None) -> str:
    if nginx is None:
        return "benchmarks/responder.py"
    said = subprocess.run([nginx, "-v"], capture_output=True, text=True, check=True).stderr
    found = re.search(r"nginx/[\d.]+", said)
    return found.group() if found else "nginx"


def _await_listening(process: subprocess.Popen[bytes], ports: tuple[int, ...]) -> None:
    until = time.monotonic() + _START
    for port in ports:
        while not _listens(port):
            if process.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"the server did not start to listen on port {port}")
            time.sleep(0.02)


def _listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False
