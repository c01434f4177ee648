"""How many there are of something, in words."""

from __future__ import annotations


def counted(count: int, noun: str, nouns: str = "") -> str:
    """Return a number with its noun: "1 job", "3 jobs"; `nouns` is the plural that is not made with an s."""
    return f"{count} {noun if count == 1 else nouns or noun + 's'}"


def gigabytes(count: float) -> str:
    """Return a number of bytes in GB, three digits of it."""
    return f"{count / 1e9:.3g} GB"


def sized(count: float) -> str:
    """Return a number of bytes in the largest fitting unit ("1.2 MB")."""
    if count < 1000:
        return f"{int(count)} B"
    for unit in ("kB", "MB", "GB", "TB"):
        count /= 1000
        if count < 999.95 or unit == "TB":
            break
    return f"{count:.1f} {unit}"
