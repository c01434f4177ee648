"""Users as people make them: names, roles, passwords."""

from __future__ import annotations

import re
from collections.abc import Callable

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

    def add(self, name: str, password: str, *, is_super: bool = False) -> UserRow:
        """Add a user; raise `UsageError` for a bad name or password, `Refused` when there is one already."""
        if not _NAME.fullmatch(name):
            raise UsageError(f"{name!r} cannot be a user name.", "Use up to 64 letters, digits, '_', '.', '@' and '-'.")
        check_new_password(password)
        if self._store.user(name) is not None:
            raise Refused(f"There is a user {name} already.")
        user = UserRow(name, hash_password(password), is_super, self._now())
        self._store.put_user(user)
        return user

    def set_password(self, name: str, password: str) -> None:
        """Give `name` a new password and end all sessions of that user; raise `UnknownPath`, `UsageError`."""
        check_new_password(password)
        user = self._store.user(name)
        if user is None:
            raise UnknownPath(f"There is no user {name}.")
        self._store.put_user(
            UserRow(name, hash_password(password), user.is_super, user.created_at, is_disabled=user.is_disabled)
        )
        self._store.remove_sessions(name)
