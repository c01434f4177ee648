"""Passwords: argon2id, in threads, at most two at a time; the same time is spent on users that do not exist."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from typing import Any, TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from copernicus.errors import UsageError

SHORTEST = 12
LONGEST = 1024
MOST_AT_A_TIME = 2

T = TypeVar("T")
_hasher = PasswordHasher()


def check_new_password(password: str) -> None:
    """Raise `UsageError` when `password` is too short (or absurdly long) to be set."""
    if len(password) < SHORTEST:
        raise UsageError(
            f"The password has {len(password)} characters; it must have at least {SHORTEST}.",
            "A sentence of four or five words is easy to keep in mind.",
        )
    if len(password) > LONGEST:
        raise UsageError(f"The password has more than {LONGEST} characters.")


def hash_password(password: str) -> str:
    """Return the argon2id hash of `password` in its own text form (tens of milliseconds, 64 MiB)."""
    return _hasher.hash(password)


class PasswordCheck:
    """Verifies passwords without blocking the event loop; each takes the same time whether or not the user exists."""

    def __init__(self) -> None:
        self._turns = asyncio.Semaphore(MOST_AT_A_TIME)
        self._dummy = ""

    async def is_right(self, password: str, password_hash: str | None) -> bool:
        """Return whether `password` belongs to `password_hash`; None (no such user) costs the same and is False."""
        if len(password) > LONGEST:
            return False
        async with self._turns:
            if not self._dummy:
                self._dummy = await asyncio.to_thread(hash_password, secrets.token_hex(16))
            matches = await asyncio.to_thread(_verify, password_hash or self._dummy, password)
        return matches and password_hash is not None

    async def in_turn(self, action: Callable[..., T], *arguments: Any) -> T:
        """Do blocking work that hashes a password, in a thread, when it is its turn."""
        async with self._turns:
            return await asyncio.to_thread(action, *arguments)


def _verify(password_hash: str, password: str) -> bool:
    try:
        return _hasher.verify(password_hash, password)
    except (VerificationError, InvalidHashError):
        return False
