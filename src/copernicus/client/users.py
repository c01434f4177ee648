"""Users of a server, and who has access to which project: `client.users`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from copernicus.model.secret import Secret
from copernicus.wire import messages as m

if TYPE_CHECKING:
    from copernicus.net.caller import Caller


class Users:
    """Who may do what on one server. What is returned as text is the server's note, for a person.

    Raise `NotAllowed` where only super users may, `UnknownPath` for a user or project that is not there, `UsageError` for
    a bad name or password, `Refused` for what would leave nobody in charge.
    """

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    def list(self) -> list[m.UserRow]:
        """Return all users, by name."""
        return self._caller.call(m.UsersRequest()).users

    def add(self, name: str, password: str, *, is_super: bool = False) -> str:
        """Add a user; the password has at least 12 characters."""
        return self._caller.call(m.AddUserRequest(name, Secret(password), is_super)).note

    def delete(self, name: str) -> str:
        """Delete a user with sessions, bundles and access; what the user did in projects stays."""
        return self._caller.call(m.DeleteUserRequest(name)).note

    def change(self, name: str, change: m.UserChange) -> str:
        """Promote to super user or demote, disable (keep out) or enable a user."""
        return self._caller.call(m.ChangeUserRequest(name, change)).note

    def set_password(self, password: str, *, current: str = "", name: str = "") -> str:
        """Set one's own password, or as a super user that of `name`; `current` is the caller's own password as it is now.

        Every session of that user ends. With an admin bundle `current` is not needed.
        """
        return self._caller.call(m.SetPasswordRequest(Secret(password), Secret(current), name)).note

    def members(self, project: str) -> tuple[str, ...]:
        """Return the names of those who have access to a project, besides the super users."""
        return tuple(self._caller.call(m.MembersRequest(project)).names)

    def grant(self, project: str, name: str) -> str:
        """Give a user access to a project that one has access to."""
        return self._caller.call(m.GrantAccessRequest(project, name)).note

    def revoke(self, project: str, name: str) -> str:
        """Take a user's access to a project back."""
        return self._caller.call(m.RevokeAccessRequest(project, name)).note
