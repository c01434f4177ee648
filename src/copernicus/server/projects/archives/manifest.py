"""What an archive says of itself: a header before everything else, a manifest behind it."""

from __future__ import annotations

import msgspec

FORMAT = 1
HEADER, MANIFEST = "header.json", "manifest.json"
LOG, JOBS, FILES = "log/", "jobs/", "files/"


class Header(msgspec.Struct, frozen=True):
    """The first member. `server` is the fingerprint of the server that wrote it, `origin` who saved it, as user@server.

    `seq` and `head` are number and hash of the last record of the log that is in it.
    """

    format: int
    project: str
    saved_at: float
    server: str
    origin: str
    version: str
    seq: int
    head: str


class Member(msgspec.Struct, frozen=True):
    """One member of the log or the jobs, or the header: `hash` is the BLAKE3 of its bytes."""

    name: str
    size: int
    hash: str


class Manifest(msgspec.Struct, frozen=True):
    """The last member: without it an archive is not whole.

    A member of `files/` is named by the hash of its bytes; `files_hash` is the hash of these names, in order, each with a
    newline. `gone` names files of which the project has the record but no longer the content.
    """

    members: tuple[Member, ...]
    files: int
    files_bytes: int
    files_hash: str
    gone: tuple[str, ...] = ()
