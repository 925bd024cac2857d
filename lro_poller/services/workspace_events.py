"""Google Workspace Events, v1beta and v1.

Sources: the API's reference of operations.get (method, name, scopes) and its usage limits
(600 reads a minute for a project, 100 for each user of it). The scopes of `v1` are those of
its discovery document, which has four that v1beta's reference does not list and spells
`meetings.space.created` only.
"""

from __future__ import annotations

from .service import Quota, Service

__all__ = ["WORKSPACE_EVENTS", "WORKSPACE_EVENTS_V1"]

_AUTH = "https://www.googleapis.com/auth/"

CHAT_BOT = _AUTH + "chat.bot"
CHAT_SPACES = _AUTH + "chat.spaces"
CHAT_SPACES_READONLY = _AUTH + "chat.spaces.readonly"
CHAT_MESSAGES = _AUTH + "chat.messages"
CHAT_MESSAGES_READONLY = _AUTH + "chat.messages.readonly"
CHAT_MESSAGES_REACTIONS = _AUTH + "chat.messages.reactions"
CHAT_MESSAGES_REACTIONS_READONLY = _AUTH + "chat.messages.reactions.readonly"
CHAT_MEMBERSHIPS = _AUTH + "chat.memberships"
CHAT_MEMBERSHIPS_READONLY = _AUTH + "chat.memberships.readonly"
CHAT_USERS_AVAILABILITY = _AUTH + "chat.users.availability"
CHAT_USERS_AVAILABILITY_READONLY = _AUTH + "chat.users.availability.readonly"
CHAT_USERS_READSTATE = _AUTH + "chat.users.readstate"
CHAT_USERS_READSTATE_READONLY = _AUTH + "chat.users.readstate.readonly"
MEET_SPACE_CREATED = _AUTH + "meet.space.created"
MEETINGS_SPACE_CREATED = _AUTH + "meetings.space.created"
MEETINGS_SPACE_READONLY = _AUTH + "meetings.space.readonly"
DRIVE = _AUTH + "drive"
DRIVE_FILE = _AUTH + "drive.file"
DRIVE_METADATA = _AUTH + "drive.metadata"
DRIVE_METADATA_READONLY = _AUTH + "drive.metadata.readonly"
DRIVE_READONLY = _AUTH + "drive.readonly"

_BOTH = (
    CHAT_BOT,
    CHAT_SPACES,
    CHAT_SPACES_READONLY,
    CHAT_MESSAGES,
    CHAT_MESSAGES_READONLY,
    CHAT_MESSAGES_REACTIONS,
    CHAT_MESSAGES_REACTIONS_READONLY,
    CHAT_MEMBERSHIPS,
    CHAT_MEMBERSHIPS_READONLY,
    MEETINGS_SPACE_CREATED,
    MEETINGS_SPACE_READONLY,
    DRIVE,
    DRIVE_FILE,
    DRIVE_METADATA,
    DRIVE_METADATA_READONLY,
    DRIVE_READONLY,
)
_USERS = (
    CHAT_USERS_AVAILABILITY,
    CHAT_USERS_AVAILABILITY_READONLY,
    CHAT_USERS_READSTATE,
    CHAT_USERS_READSTATE_READONLY,
)

_ORIGIN = "https://workspaceevents.googleapis.com"
_QUOTA = Quota(polls=600, seconds=60)

_BATCH_PATH = "/batch"

WORKSPACE_EVENTS = Service(
    "workspaceevents",
    "v1beta",
    _ORIGIN,
    scopes=(*_BOTH, MEET_SPACE_CREATED),
    quota=_QUOTA,
    batch_path=_BATCH_PATH,
)
WORKSPACE_EVENTS_V1 = Service(
    "workspaceevents",
    "v1",
    _ORIGIN,
    scopes=(*_BOTH, *_USERS),
    quota=_QUOTA,
    batch_path=_BATCH_PATH,
)
