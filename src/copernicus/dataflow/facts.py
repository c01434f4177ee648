"""Facts: what a project's log holds. A state is the fold of its facts; the fold stores and decides nothing.

Instance 0 is the project itself. Paths are members below a side; values are plain JSON data. What a fact of any released
version means never changes: new meaning is a new fact.
"""

from __future__ import annotations

from typing import Any

import msgspec

from copernicus.dataflow.paths import Member
from copernicus.model.functions import FunctionSchema
from copernicus.model.jobs import JobDescription


class _Fact(msgspec.Struct, frozen=True, array_like=True, omit_defaults=True):
    """Base of all facts."""


class Imported(_Fact, frozen=True, tag="import"):
    """A user imported a module."""

    module: str


class Declared(_Fact, frozen=True, tag="fn"):
    """The schema of a function that the project uses, kept so that values stay readable without the module."""

    schema: FunctionSchema


class Made(_Fact, frozen=True, tag="make"):
    """An instance was made inside `parent`. `index` is its place in a scatter, else None."""

    id: int
    name: str
    parent: int
    function: str
    is_held: bool = False
    index: int | None = None


class Removed(_Fact, frozen=True, tag="rm"):
    """An instance without children was removed."""

    id: int


class Renamed(_Fact, frozen=True, tag="name"):
    """An instance has another name now."""

    id: int
    name: str


class Connected(_Fact, frozen=True, tag="link"):
    """The place (id, side, path) became a view of the source; what it held itself is gone."""

    id: int
    side: str
    path: tuple[Member, ...]
    source: int
    source_side: str
    source_path: tuple[Member, ...]


class Disconnected(_Fact, frozen=True, tag="unlink"):
    """The connection that ended at this place was removed."""

    id: int
    side: str
    path: tuple[Member, ...]


class Wrote(_Fact, frozen=True, tag="w"):
    """A value was written; None means unset."""

    id: int
    side: str
    path: tuple[Member, ...]
    value: Any


class Shortened(_Fact, frozen=True, tag="cut"):
    """An array was shortened."""

    id: int
    side: str
    path: tuple[Member, ...]
    length: int


class Widened(_Fact, frozen=True, tag="width"):
    """A scatter has this many indices now; instances beyond it are retired."""

    id: int
    width: int


class Held(_Fact, frozen=True, tag="hold"):
    """A user holds (or no longer holds) an instance."""

    id: int
    is_held: bool


class HeldByController(_Fact, frozen=True, tag="chold"):
    """The controller of an instance holds it ("" : no longer), with the reason."""

    id: int
    why: str


class Begun(_Fact, frozen=True, tag="begin"):
    """An evaluation began: for a command the job's description, for a pure function none. Struck results begin again.

    `course` is the same for all keys of a command that differ only in how long the job runs ("" where nothing says that).
    """

    key: str
    id: int
    description: JobDescription | None = None
    course: str = ""


class Took(_Fact, frozen=True, tag="key"):
    """`key` is the present key of an instance whose inputs were looked at at sequence number `seen`."""

    id: int
    key: str
    seen: int


class Left(_Fact, frozen=True, tag="left"):
    """An instance wants its present key no more, and looks at its inputs anew when it works again."""

    id: int


class Renewed(_Fact, frozen=True, tag="renew"):
    """An instance is to look at its inputs again, whatever it has seen."""

    id: int


class Filed(_Fact, frozen=True, tag="filed"):
    """An evaluation ended: with outputs, or with an error. `core_s` and `gpu_s` are what it cost."""

    key: str
    outputs: dict[str, Any] | None = None
    error: str = ""
    core_s: float = 0.0
    job: int | None = None
    attempt: int = 0
    worker: str = ""
    version: str = ""
    hostname: str = ""
    site: str = ""
    program_hash: str = ""
    gpu_s: float = 0.0


class Stood(_Fact, frozen=True, tag="stood"):
    """The result of an evaluation became the output of an instance."""

    id: int
    key: str


class Reopened(_Fact, frozen=True, tag="reopen"):
    """A failed evaluation was given a fresh start."""

    key: str


class Struck(_Fact, frozen=True, tag="strike"):
    """A key's results are not to be used any more; the next evaluation of it has a new name."""

    base: str


class Seen(_Fact, frozen=True, tag="seen"):
    """The answer of a controller's call that had seen `seq` was applied."""

    id: int
    seq: int


class Reset(_Fact, frozen=True, tag="reset"):
    """A controller forgot its memory; it is called as new."""

    id: int


class ErrorSet(_Fact, frozen=True, tag="error"):
    """An instance is in error by itself: a controller's call failed, or a command could not describe its job."""

    id: int
    error: str
    seen: int


class ErrorCleared(_Fact, frozen=True, tag="clear"):
    """The error of an instance was forgotten."""

    id: int


class Noted(_Fact, frozen=True, tag="note"):
    """A controller's note and warning for people (None: unchanged)."""

    id: int
    note: str | None = None
    warning: str | None = None


class Ended(_Fact, frozen=True, tag="ended"):
    """Nothing below a controller's child is running or waiting to run any more; `error` when something failed there."""

    id: int
    error: str = ""


class Discarded(_Fact, frozen=True, tag="gone"):
    """The content of a finished evaluation's results was deleted: when its key returns, it is evaluated again."""

    key: str


class Purged(_Fact, frozen=True, tag="purge"):
    """A user gave up the files that stood at or below a place until record `seq`, but for those that stood there then
    (`keeps`, by hash)."""

    id: int
    side: str
    path: tuple[Member, ...]
    seq: int
    keeps: tuple[str, ...] = ()


class Loaded(_Fact, frozen=True, tag="load"):
    """The project came out of an archive: the records before are those of `origin`, and their jobs have new numbers here.

    A job that is not in `jobs` (old number, new number) has no record here.
    """

    origin: str
    jobs: tuple[tuple[int, int], ...] = ()


class Adopted(_Fact, frozen=True, tag="adopt"):
    """The function of this name is the one declared here, in all its instances too, which keep what they hold."""

    schema: FunctionSchema


class TookBack(_Fact, frozen=True, tag="undo"):
    """This record takes back what a person wrote in record `seq`, which may itself have taken something back."""

    seq: int


class Restored(_Fact, frozen=True, tag="back"):
    """An instance that had been removed is back, with what it had seen and what had happened in it."""

    id: int
    seen: int = 0
    runs: int = 0
    ended: int = 0
    ended_error: str = ""
    has_news: bool = False
    core_s: float = 0.0
    error: str = ""


class Upgraded(_Fact, frozen=True, tag="upgrade"):
    """What an instance has seen, and its evaluation, stand for its inputs as an upgrade has converted them."""

    id: int


class Awaited(_Fact, frozen=True, tag="await"):
    """A controller was told in a call that this child of it is at work: that it comes to rest is news, whatever comes of it."""

    id: int


class Followed(_Fact, frozen=True, tag="follow"):
    """The controller of an instance follows it (or no longer): it wants to see its provisional outputs."""

    id: int
    is_followed: bool


class Glimpsed(_Fact, frozen=True, tag="glimpse"):
    """A followed instance has newer provisional outputs. They are in the job book, and no values of the project."""

    id: int


Fact = (
    Imported | Declared | Made | Removed | Renamed | Connected | Disconnected | Wrote | Shortened | Widened | Held
    | HeldByController | Begun | Took | Left | Renewed | Filed | Stood | Reopened | Struck | Seen | Reset | ErrorSet
    | ErrorCleared | Noted | Ended | Discarded | Purged | Loaded | Adopted | Upgraded
    | Awaited | Followed | Glimpsed | TookBack | Restored
)  # fmt: skip


class Record(msgspec.Struct, frozen=True, array_like=True):
    """One transaction of the log. `previous` is the hash of the record before; `time` is for people only."""

    seq: int
    time: float
    actor: str
    cause: str
    previous: str
    facts: tuple[Fact, ...]


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Record)


def encode_record(record: Record) -> bytes:
    """Return the record as it lies on disk."""
    return _encoder.encode(record)


def decode_record(data: bytes) -> Record:
    """Read a record; raise `msgspec.DecodeError` when it is none."""
    return _decoder.decode(data)
