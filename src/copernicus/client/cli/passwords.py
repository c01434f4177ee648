"""How passwords come in: from a terminal, where they are not shown, or from lines of standard input."""

from __future__ import annotations

import sys

from copernicus.client.cli.context import is_terminal
from copernicus.errors import NotAuthenticated, UsageError


def asked_password(question: str, hint: str, *, is_stdin: bool, is_twice: bool = False) -> str:
    """Return the next line of stdin, or what a person types; raise `NotAuthenticated` when there is neither, or nothing.

    `hint` says how to give it where there is no terminal; a new password is asked for twice.
    """
    if is_stdin:
        password = sys.stdin.readline().rstrip("\r\n") if sys.stdin is not None else ""
    elif is_terminal():
        from getpass import getpass

        password = getpass(f"{question}: ")
        if is_twice and password and getpass("The same again: ") != password:
            raise UsageError("The two passwords are not the same.", "Nothing was changed.")
    else:
        raise NotAuthenticated("There is no terminal to ask for the password.", hint)
    if not password:
        raise NotAuthenticated("No password was given.", "Nothing was sent.")
    return password
