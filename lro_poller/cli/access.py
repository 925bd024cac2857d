"""Which poller a command uses: the service, the endpoint and the credentials that its options name."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from ..credentials import load_default, load_file
from ..errors import CredentialsError
from ..origin import check_origin
from ..poller import OperationPoller
from ..services import Service
from .exits import Complaint

if TYPE_CHECKING:
    from google.auth.credentials import Credentials

__all__ = ["make_poller"]

_WAYS = """\
Supply credentials in one of these ways:
  run: gcloud auth application-default login --client-id-file=CLIENT.json --scopes=SCOPE,...
      (CLIENT.json is an OAuth client of your project; for services with the scope cloud-platform neither is needed)
  --credentials-file FILE, or the environment variable GOOGLE_APPLICATION_CREDENTIALS:
      a service account's key, or another configuration file of Google's libraries
  run it where a service account is attached
  --anonymous: no token is sent, which an emulator is content with"""


async def make_poller(options: argparse.Namespace) -> OperationPoller:
    """A poller by the options, with its credentials.

    Raises:
        Complaint: an option is wrong, or there are no credentials.
    """
    service: Service = options.service
    try:
        _check_endpoint(options.endpoint)
        scopes = None if options.scope is None else service.check_scopes(options.scope)
        return OperationPoller(
            service,
            endpoint=options.endpoint,
            credentials=await _credentials(options, scopes or service.scopes),
            scopes=scopes,
            max_in_flight=options.max_in_flight,
            max_rate=options.max_rate,
        )
    except (ValueError, CredentialsError) as error:
        raise Complaint(str(error)) from error


def _check_endpoint(endpoint: str | None) -> None:
    """The library offers an argument for plain HTTP to another machine; a shell has none."""
    if endpoint is not None and check_origin(endpoint, allow_http=True).startswith("http:"):
        try:
            check_origin(endpoint)
        except ValueError:
            raise ValueError(
                f"--endpoint {endpoint} is plain HTTP to another machine, where a token could be read on the way; "
                "use https"
            ) from None


async def _credentials(options: argparse.Namespace, scopes: tuple[str, ...]) -> Credentials:
    if options.anonymous:
        from google.auth.credentials import AnonymousCredentials

        return AnonymousCredentials()
    if options.credentials_file is not None:
        return await load_file(options.credentials_file)
    return await load_default(scopes, ways=_WAYS)
