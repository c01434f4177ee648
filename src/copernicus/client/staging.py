"""Open transactions: edits that are collected here, in the client, until they are committed or rolled back.

The server knows nothing of an open transaction: none to lose, to lock, or to expire. It is one small file for each
identity and project. A nested `transact` is a savepoint: its commit adds to the outer transaction, its rollback forgets
what came after it.
"""

from __future__ import annotations

from pathlib import Path

import msgspec
from blake3 import blake3

from copernicus.client import memory
from copernicus.errors import Refused
from copernicus.model.edits import Edit


class Staged(msgspec.Struct, frozen=True, omit_defaults=True):
    """An open transaction. `savepoints` holds how many edits there were at each `transact`; the first is always 0.

    `request_id` is set once a commit has been sent, so that the same commit again has one effect. `stamps` holds for each
    edit the project's sequence number when it was put on the list, or when its owner was told of a conflict; a list that
    an older program began has none, and nobody looks for conflicts then.
    """

    project: str
    edits: tuple[Edit, ...] = ()
    savepoints: tuple[int, ...] = (0,)
    request_id: str = ""
    stamps: tuple[int, ...] = ()

    @property
    def depth(self) -> int:
        """How many `transact` are open."""
        return len(self.savepoints)


class Staging:
    """The open transaction of one identity in one project. Raises `SettingsError` when its file cannot be used."""

    def __init__(self, identity: str, project: str) -> None:
        self.project, self._identity = project, identity
        key = blake3(f"{identity}\0{project}".encode()).hexdigest()[:32]
        self._file: Path = memory.folder() / f"staged-{key}.json"

    def load(self) -> Staged | None:
        """Return the open transaction, or None."""
        return memory.load_file(self._file, Staged)

    def opened(self) -> Staged:
        """Return the open transaction; raise `Refused` when there is none."""
        staged = self.load()
        if staged is None:
            raise Refused(f"No transaction is open in project {self.project}.", "Open one with: cpcc transact")
        return staged

    def begin(self) -> Staged:
        """Open a transaction, or set a savepoint in the open one."""
        staged = self.load()
        if staged is None:
            staged = Staged(self.project)
        else:
            staged = msgspec.structs.replace(staged, savepoints=(*staged.savepoints, len(staged.edits)))
        return self._keep(staged)

    def add(self, *edits: Edit, seq: int) -> Staged:
        """Append edits, which the server has checked when `seq` was the project's sequence number."""
        staged = self.opened()
        stamps = staged.stamps
        if len(stamps) == len(staged.edits):
            stamps += (seq,) * len(edits)
        return self._keep(msgspec.structs.replace(staged, edits=(*staged.edits, *edits), request_id="", stamps=stamps))

    def stamp(self, seq: int) -> Staged:
        """The owner of the list knows now what others wrote until `seq`; the next commit is another request."""
        staged = self.opened()
        return self._keep(msgspec.structs.replace(staged, request_id="", stamps=(seq,) * len(staged.edits)))

    def name_request(self, request_id: str) -> Staged:
        """Fix the request id of the commit that is about to be sent; an id that stands already is kept."""
        staged = self.opened()
        return staged if staged.request_id else self._keep(msgspec.structs.replace(staged, request_id=request_id))

    def forget_request(self) -> Staged:
        """The commit was refused: the next one is another request."""
        return self._keep(msgspec.structs.replace(self.opened(), request_id=""))

    def release(self) -> Staged:
        """Commit the innermost savepoint into the transaction around it."""
        staged = self.opened()
        return self._keep(msgspec.structs.replace(staged, savepoints=staged.savepoints[:-1]))

    def roll_back(self) -> Staged | None:
        """Forget the edits since the last `transact`; return what is still open."""
        staged = self.opened()
        if staged.depth == 1:
            self.forget()
            return None
        left = staged.savepoints[-1]
        return self._keep(msgspec.structs.replace(
            staged, edits=staged.edits[:left], savepoints=staged.savepoints[:-1], request_id="", stamps=staged.stamps[:left]
        ))  # fmt: skip

    def forget(self) -> None:
        """End the transaction, with all that was staged in it."""
        self._file.unlink(missing_ok=True)

    def move(self, project: str) -> None:
        """The project is called otherwise now: its open transaction goes on under that name."""
        staged = self.load()
        if staged is not None:
            Staging(self._identity, project)._keep(msgspec.structs.replace(staged, project=project))
            self.forget()

    def _keep(self, staged: Staged) -> Staged:
        memory.save_file(self._file, staged)
        return staged
