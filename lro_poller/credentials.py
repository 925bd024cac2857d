"""Finding credentials.

Decides where they are looked for and what is said when they are not found. How a poll is
authorized by them is decided in `auth`.
"""

from __future__ import annotations

import functools
import json
import os
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import google.auth
import google.auth.environment_vars
import google.auth.exceptions
from google.auth.credentials import with_scopes_if_required

from .errors import CredentialsError
from .threads import in_daemon_thread

if TYPE_CHECKING:
    from google.auth.credentials import Credentials

__all__ = ["load_default", "load_file", "scoped"]

_WAYS = (
    "Supply them in one of these ways: run 'gcloud auth application-default login' (with --client-id-file and "
    "--scopes, where the service has scopes of its own, as Google Workspace's have); set "
    "GOOGLE_APPLICATION_CREDENTIALS to the path of a key or configuration file; run where a service account is "
    "attached; or pass credentials=… (for an emulator: google.auth.credentials.AnonymousCredentials())"
)


async def load_default(scopes: tuple[str, ...], *, ways: str = _WAYS) -> Credentials:
    """Application default credentials, looked for in a thread: a metadata server that hangs must not hold up anybody.

    Args:
        scopes: OAuth scopes, for credentials of a kind that needs them.
        ways: How to supply credentials, for the message when there are none.

    Raises:
        CredentialsError: there are none; the message lists the ways to supply them.
    """
    try:
        credentials, _ = await in_daemon_thread(functools.partial(google.auth.default, scopes=scopes))
    except Exception as error:  # a malformed file makes google-auth raise anything, with the file in it
        complaint = _complaint(error, ways)
    else:
        return credentials
    raise CredentialsError(complaint)


async def load_file(file: str) -> Credentials:
    """The credentials of a key or configuration file, without scopes: `scoped` adds them where they are needed.

    Raises:
        CredentialsError: it is of no use; the message says why.
    """
    try:
        return await in_daemon_thread(functools.partial(_read_file, file))
    except Exception as error:  # a parser's holds the whole text
        complaint = f"the credentials file {file!r} cannot be used: {_reason(error)}"
    raise CredentialsError(complaint)


def _read_file(file: str) -> Any:
    if not isinstance(json.loads(Path(file).read_text(encoding="utf-8")), dict):
        raise ValueError("it is no JSON object")  # noqa: TRY004 - the type of what is in a file, not of an argument
    with warnings.catch_warnings():
        # It warns whoever loads a file that somebody else has chosen; this one is the caller's own choice.
        warnings.filterwarnings("ignore", "The load_credentials_from_file method is deprecated", DeprecationWarning)
        return google.auth.load_credentials_from_file(file)[0]


def scoped(credentials: Credentials, scopes: tuple[str, ...]) -> Credentials:
    """The same credentials, limited to `scopes` where they are of a kind that needs scopes."""
    return with_scopes_if_required(credentials, scopes)  # type: ignore[no-any-return]


def _complaint(error: Exception, ways: str) -> str:
    named = os.environ.get(google.auth.environment_vars.CREDENTIALS)
    if named:
        return f"GOOGLE_APPLICATION_CREDENTIALS names {named!r}, which cannot be used: {_reason(error)}"
    return f"no usable application default credentials: {_reason(error).partition('. ')[0]}. {ways}"


def _reason(error: Exception) -> str:
    """Why credentials could not be loaded, in one line. google-auth names fields of a file, and rarely what they hold."""
    match error:
        case OSError(strerror=str(said)):
            return said
        case json.JSONDecodeError():
            return f"it is no JSON, from line {error.lineno} on"
        case UnicodeDecodeError():
            return "it is no text in UTF-8"
        case google.auth.exceptions.GoogleAuthError(__cause__=ValueError() as cause):
            return _reason(cause)  # which field is missing or wrong, where google-auth says only that one is
        case google.auth.exceptions.InvalidValue():
            pass  # it quotes the value, which may be a private key
        case google.auth.exceptions.GoogleAuthError() | ValueError() if error.args:
            return str(error.args[0]).partition("\n")[0].rstrip(".")
    return f"it is malformed ({type(error).__name__})"
