"""Host names and addresses: what has the form of one."""

from __future__ import annotations

import ipaddress
import re

LONGEST = 253
_LABEL = r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_NAME = re.compile(rf"{_LABEL}(\.{_LABEL})*\.?")


def is_host(name: str) -> bool:
    """Say whether `name` has the form of a host name or an address; whether it exists is not looked up."""
    try:
        ipaddress.ip_address(name.partition("%")[0])
        return True
    except ValueError:
        pass
    try:
        plain = name if name.isascii() else name.encode("idna").decode()
    except UnicodeError:
        return False
    return len(plain) <= LONGEST and _NAME.fullmatch(plain) is not None
