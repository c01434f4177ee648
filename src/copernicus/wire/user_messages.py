"""Messages about users and their access to projects. Reached through `wire.messages`."""

from __future__ import annotations

from typing import Literal

import msgspec

from copernicus.model.secret import Secret
from copernicus.wire.message import Message

UserChange = Literal["promote", "demote", "disable", "enable"]


class UsersRequest(Message, frozen=True):
    """All users. Super users only."""


class UserRow(Message, frozen=True):
    """A user; `created_at` is Unix time, `projects` are those to which access was given (super users need none)."""

    name: str
    is_super: bool = False
    is_disabled: bool = False
    created_at: float = 0.0
    projects: list[str] = []


class UsersReply(Message, frozen=True):
    """Users, by name."""

    users: list[UserRow]


class MembersRequest(Message, frozen=True):
    """Who has access to a project, besides the super users?"""

    project: str


class MembersReply(Message, frozen=True):
    """Names of users."""

    names: list[str]


class AddUserRequest(Message, frozen=True):
    """Add a user. Super users only."""

    name: str
    password: Secret
    is_super: bool = False


class DeleteUserRequest(Message, frozen=True):
    """Delete a user with sessions, bundles and access; what the user did in projects stays. Super users only."""

    name: str


class ChangeUserRequest(Message, frozen=True):
    """Make a user a super user or an ordinary one, keep a user out or let it in again. Super users only."""

    name: str
    change: UserChange


class SetPasswordRequest(Message, frozen=True):
    """Set one's own password (`name` empty), or as a super user anybody's; all sessions of that user end.

    `current` is the caller's own password: a stolen session is not enough. An admin bundle needs none.
    """

    password: Secret
    current: Secret = msgspec.field(default_factory=Secret)
    name: str = ""


class GrantAccessRequest(Message, frozen=True):
    """Give the user `name` access to a project of one's own."""

    project: str
    name: str


class RevokeAccessRequest(Message, frozen=True):
    """Take the access of the user `name` to a project back."""

    project: str
    name: str
