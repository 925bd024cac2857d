"""Credentials that are missing or of no use are told in the words of the command line."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from google.auth.exceptions import DefaultCredentialsError

from lro_poller import CredentialsError
from lro_poller.credentials import _reason, load_default, load_file, scoped
from lro_poller.testing import Emulator

from ..security.secrecy import leaks
from .process import lro

SCOPES = ("https://www.googleapis.com/auth/drive",)


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    """The real clock: files are read in threads, which a jumping one would outrun."""
    return "asyncio", {}


@pytest.fixture
def nowhere(tmp_path: Path) -> dict[str, str]:
    """Settings under which there are no credentials, and no server is asked for some."""
    none = {"GOOGLE_APPLICATION_CREDENTIALS": "", "NO_GCE_CHECK": "true"}
    return {"HOME": str(tmp_path), "CLOUDSDK_CONFIG": str(tmp_path), **none}


@pytest.fixture(scope="module")
def key() -> str:
    made = rsa.generate_private_key(65537, 2048)
    return made.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


def service_account(path: Path, key: str, token_uri: str) -> str:
    """A service account's key file that asks for its tokens at `token_uri`."""
    fields = {"type": "service_account", "client_email": "a@example.com", "private_key": key, "token_uri": token_uri}
    path.write_text(json.dumps(fields))
    return str(path)


@pytest.mark.behaviour("B26")
@pytest.mark.parametrize("wrap", [lambda key: key.splitlines(), lambda key: {"pem": key}])
def test_a_key_that_is_no_text_is_not_told(tmp_path: Path, key: str, wrap: Callable[[str], object]) -> None:
    file = tmp_path / "key.json"
    fields = {"type": "service_account", "client_email": "a@b.c", "token_uri": "https://b.c", "private_key": wrap(key)}
    file.write_text(json.dumps(fields))
    with pytest.raises(CredentialsError, match=r"cannot be used: it is malformed \(InvalidValue\)$") as caught:
        asyncio.run(load_file(str(file)))
    assert not leaks(caught.value, key.splitlines()[1])


@pytest.mark.parametrize("command", ["wait", "get"])
def test_missing_credentials_say_how_to_supply_them_here(nowhere: dict[str, str], command: str) -> None:
    done = lro(command, "operations/a", **nowhere)
    assert (done.returncode, done.stdout) == (2, "")
    for way in (
        "gcloud auth application-default login",
        "--credentials-file",
        "GOOGLE_APPLICATION_CREDENTIALS",
        "--anonymous",
    ):
        assert way in done.stderr
    assert "credentials=" not in done.stderr
    assert "AnonymousCredentials" not in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "content, said",
    [
        (None, "No such file or directory"),
        (b"{", "it is no JSON, from line 1 on"),
        (b"[]", "it is no JSON object"),
        (b"\xff\xfe", "it is no text in UTF-8"),
        (b'{"installed": {}}', "does not have a valid type"),
        (b'{"type": "service_account"}', "missing fields"),
        (b'{"type": "impersonated_service_account"}', "it is malformed (AttributeError)"),
        (
            b'{"type": "service_account", "client_email": "a", "token_uri": "b", "private_key": "hunter2"}',
            "Unable to load PEM file",
        ),
    ],
)
@pytest.mark.parametrize("by", ["option", "variable"])
def test_a_file_of_no_use_is_one_line(
    tmp_path: Path, nowhere: dict[str, str], content: bytes | None, said: str, by: str
) -> None:
    path = tmp_path / "key.json"
    if content is not None:
        path.write_bytes(content)
    if by == "option":
        done = lro("get", "operations/a", "--credentials-file", str(path), **nowhere)
    else:
        done = lro("get", "operations/a", **{**nowhere, "GOOGLE_APPLICATION_CREDENTIALS": str(path)})
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert str(path) in line
    if by == "option":
        assert said in line
    assert "hunter2" not in line


def test_a_directory_is_no_credentials_file(tmp_path: Path) -> None:
    done = lro("get", "operations/a", "--credentials-file", str(tmp_path))
    assert done.stderr == f"lro-poller: the credentials file {str(tmp_path)!r} cannot be used: Is a directory\n"
    assert done.returncode == 2


def test_a_good_file_is_used_without_a_warning(served: Emulator, tmp_path: Path, key: str) -> None:
    name = served.add_operation()
    file = service_account(tmp_path / "key.json", key, f"{served.origin}/token")
    options = ["--credentials-file", file, "--endpoint", served.origin]
    done = lro("get", name, *options, PYTHONWARNINGS="error", NO_PROXY="127.0.0.1")
    assert done.returncode == 4  # the emulator gives no tokens, and was asked for one
    assert [request.path for request in served.requests] == ["/token"]
    assert "refreshing Credentials failed" in done.stdout
    assert done.stderr == ""


@pytest.fixture
def gcloud_user(tmp_path: Path) -> str:
    fields = {"type": "authorized_user", "client_secret": "s", "refresh_token": "r", "client_id": GCLOUD}
    (tmp_path / "user.json").write_text(json.dumps(fields))
    return str(tmp_path / "user.json")


async def test_only_the_loaders_own_warning_is_silenced(gcloud_user: str) -> None:
    with pytest.warns(UserWarning, match="authenticated using end user credentials") as caught:
        loaded = await load_file(gcloud_user)
    assert [one.category for one in caught] == [UserWarning]
    assert (
        vars(scoped(loaded, SCOPES))["_scopes"] is None
    )  # a user has granted what was granted: to ask for more is refused


def test_a_service_account_is_limited_to_the_scopes(tmp_path: Path, key: str) -> None:
    loaded = asyncio.run(load_file(service_account(tmp_path / "key.json", key, "https://b.c")))
    assert vars(scoped(loaded, SCOPES))["_scopes"] == SCOPES


@pytest.mark.parametrize(
    "error, told",
    [
        (ValueError("The first line.\nSECRET"), "The first line"),
        (DefaultCredentialsError("Without a full stop"), "Without a full stop"),
        (ValueError(), "it is malformed (ValueError)"),
    ],
)
def test_a_reason_is_one_line_that_goes_on_in_a_sentence(error: Exception, told: str) -> None:
    assert _reason(error) == told


@pytest.mark.behaviour("B26")
@pytest.mark.parametrize("by", ["file", "environment"])
def test_what_cannot_be_read_is_not_in_what_is_raised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, by: str) -> None:
    path = tmp_path / "key.json"
    path.write_text('{"type": "service_account", "private_key": "SECRET",,}')
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(path))
    with pytest.raises(CredentialsError, match="cannot be used") as caught:
        asyncio.run(load_file(str(path)) if by == "file" else load_default(SCOPES))
    assert leaks(caught.value, "SECRET") == []


GCLOUD = "764086051850-6qr4p6gpi6hn506pt8ejuq83di341hur.apps.googleusercontent.com"
"""gcloud's own client: its users are warned that their quota is not their project's."""


async def test_in_python_the_ways_are_pythons(monkeypatch: pytest.MonkeyPatch, nowhere: dict[str, str]) -> None:
    for name, value in nowhere.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(CredentialsError, match="or pass credentials=") as caught:
        await load_default(SCOPES)
    assert "gcloud auth application-default login" in str(caught.value)
    assert "To set up" not in str(caught.value)  # google-auth's own ways, which are not all of them
