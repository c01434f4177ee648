"""Users as people make them: names, roles, passwords."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable

from msgspec.structs import replace

from copernicus.errors import Refused, UnknownPath, UsageError
from copernicus.server.access.passwords import check_new_password, hash_password
from copernicus.server.storage.abc import AccessStore, UserRow

OWNER = "root"  # the super user that setup makes
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@-]{0,63}")


class Users:
    """Makes and changes users. The calls block (a password hash takes tens of milliseconds): not for the event loop."""

    def __init__(self, store: AccessStore, now: Callable[[], float]) -> None:
        self._store = store
        self._now = now
        self._lock = threading.Lock()  # two at once could each take the other for the last super user

    def add(self, name: str, password: str, *, is_super: bool = False) -> UserRow:
        """Add a user; raise `UsageError` for a bad name or password, `Refused` when there is one already."""
        if not _NAME.fullmatch(name):
            raise UsageError(f"{name[:80]!r} cannot be a user name.", "Use up to 64 letters, digits, '_', '.', '@' and '-'.")
        check_new_password(password)
        if self._store.user(name) is not None:
            raise Refused(f"There is a user {name} already.")
        user = UserRow(name, hash_password(password), is_super, self._now())
        self._store.put_user(user)
        return user

    def set_password(self, name: str, password: str) -> None:
        """Give `name` a new password and end all sessions of that user; raise `UnknownPath`, `UsageError`."""
        check_new_password(password)
        with self._lock:
            self._store.put_user(replace(self.existing(name), password_hash=hash_password(password)))
            self._store.remove_sessions(name)

    def existing(self, name: str) -> UserRow:
        """Return a user; raise `UnknownPath`."""
        user = self._store.user(name)
        if user is None:
            raise UnknownPath(f"There is no user {name!r}.", "See: cpcc users")
        return user

    def remove(self, name: str) -> None:
        """Remove a user with sessions and grants, and revoke its bundles. Raise as `set_super`."""
        with self._lock:
            self._check_not_last(self.existing(name), "deleted")
            self._store.remove_user(name)

    def set_super(self, name: str, is_super: bool) -> None:
        """Make a user a super user, or an ordinary one; raise `UnknownPath`, `Refused` for the last super user."""
        with self._lock:
            user = self.existing(name)
            if not is_super:
                self._check_not_last(user, "demoted")
            self._store.put_user(replace(user, is_super=is_super))

    def set_disabled(self, name: str, is_disabled: bool) -> None:
        """Keep a user out, whose sessions end, or let it in again; raise `UnknownPath`, `Refused` for the last super user."""
        with self._lock:
            user = self.existing(name)
            if is_disabled:
                self._check_not_last(user, "disabled")
            self._store.put_user(replace(user, is_disabled=is_disabled))
            if is_disabled:
                self._store.remove_sessions(name)

    def _check_not_last(self, user: UserRow, what: str) -> None:
        others = [one for one in self._store.users() if one.is_super and not one.is_disabled and one.name != user.name]
        if user.is_super and not user.is_disabled and not others:
            raise Refused(
                f"{user.name} is the only super user, and cannot be {what}.", "Make another one first: cpcc promote-user"
            )
