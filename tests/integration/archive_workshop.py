"""Archives made by hand: a good one, and whatever a test makes of it."""

from __future__ import annotations

import gzip
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
from blake3 import blake3

from copernicus.blobs.folder import BlobFolder
from copernicus.blobs.hashing import hash_bytes
from copernicus.dataflow import engine, facts as f
from copernicus.dataflow.network import Network
from copernicus.dataflow.transaction import Catalog
from copernicus.model import edits as e
from copernicus.model.functions import Field, FunctionSchema, InnerConnection, InnerInstance, ModuleSchema
from copernicus.model.jobs import JobDescription, StagedFile
from copernicus.model.values import FileRef
from copernicus.server.projects.archives.manifest import FORMAT, Header, Manifest, Member
from copernicus.server.projects.archives.members import END, head, padding
from copernicus.server.projects.archives.reading import ArchiveReader, Contents
from copernicus.server.storage.abc import JobRecord

GIVEN, MADE = b"given " * 1000, b"made " * 1000
FILE = FileRef(hash_bytes(GIVEN), len(GIVEN), "conf.gro")
OUTPUT = FileRef(hash_bytes(MADE), len(MADE), "traj.xtc")
WORK = FunctionSchema(
    "t::work", "command", (Field("conf", "file"), Field("n", "int", default=1)), (Field("traj", "file"), Field("e", "float?"))
)
WORKS = FunctionSchema(
    "t::works", "scatter", (Field("conf", "file[]"), Field("n", "int[]?")), (Field("traj", "file[]"), Field("e", "float?[]")),
    base="t::work",
)  # fmt: skip
ADD = FunctionSchema("t::add", "pure", (Field("a", "float"), Field("b", "float")), (Field("c", "float"),))
TWICE = FunctionSchema(
    "t::twice", "network", (Field("a", "float"),), (Field("c", "float"),), instances=(InnerInstance("add", "t::add"),),
    connections=(InnerConnection("self:in.a", "add:in.a"), InnerConnection("add:out.c", "self:out.c")),
)  # fmt: skip
CATALOG = Catalog([ModuleSchema("t", functions=(WORK, WORKS, ADD, TWICE))])


def log() -> tuple[list[bytes], Network]:
    """The log of a small project: one job done, one under way."""
    network, records = Network(), list[bytes]()

    def step(event: engine.Event) -> None:
        outcome = engine.step(network, CATALOG, event, 1.0)
        if outcome.data is not None:
            records.append(outcome.data)

    edits: list[e.Edit] = [
        e.MakeInstance("t::work", "one"), e.MakeInstance("t::works", "all"), e.MakeInstance("t::twice", "net"),
        e.SetFile("one:in.conf", FILE), e.SetFile("all:in.conf[+]", FILE), e.SetText("net:in.a", "2"),
        e.MakeInstance("t::add", "add"), e.Connect("net:out.c", "add:in.a"), e.Activate(""),
    ]  # fmt: skip
    step(engine.EditsRequested(edits, "ada"))
    for instance in list(network.instances.values()):
        if instance.in_flight:
            files = (StagedFile("conf.gro", FILE),)
            step(engine.JobDescribed(instance.id, instance.in_flight, JobDescription("gmx", files=files)))
    (key,) = [one.key for one in network.evaluations.values() if network.path_of(one.instance) == "one"]
    outputs = {"traj": msgspec.to_builtins(OUTPUT), "e": -1.5}
    step(engine.JobEnded(key, outputs, "", 3.0, 1, 1, "w", "2026.1"))
    return records, network


def parts() -> dict[str, Any]:
    """What a good archive is made of: name to content, in order."""
    records, network = log()
    jobs = [
        JobRecord(
            number, "x", one.instance, network.path_of(one.instance), one.key, JobDescription("gmx"),
            "done" if one.state == "done" else "leased", 0.0, attempt=1,
        )
        for number, one in enumerate(network.evaluations.values(), 1)
        if one.function.kind == "command"
    ]  # fmt: skip
    header = Header(FORMAT, "first", 1.0, "print", "ada@there", "1", network.seq, network.head)
    return {
        "header.json": header,
        "log/00000001.jsonl": records,
        "jobs/00000001.jsonl": jobs,
        f"files/{FILE.blob}": GIVEN,
        f"files/{OUTPUT.blob}": MADE,
    }


def encoded(content: Any) -> bytes:
    """One member's bytes."""
    if isinstance(content, bytes):
        return content
    if isinstance(content, list):
        return b"".join((one if isinstance(one, bytes) else msgspec.json.encode(one)) + b"\n" for one in content)
    return msgspec.json.encode(content)


def manifest(members: dict[str, Any], gone: tuple[str, ...] = ()) -> Manifest:
    """The true manifest of these members."""
    data = {name: encoded(content) for name, content in members.items()}
    files = [name for name in data if name.startswith("files/")]
    names = blake3("".join(f"{name.removeprefix('files/')}\n" for name in files).encode())
    rows = tuple(Member(name, len(one), hash_bytes(one)) for name, one in data.items() if name not in files)
    return Manifest(rows, len(files), sum(len(data[name]) for name in files), names.hexdigest(), gone)


def tar(members: dict[str, Any]) -> bytes:
    """These members as a tar, unpacked."""
    packed = b""
    for name, content in members.items():
        data = encoded(content)
        packed += head(name, len(data)) + data + padding(len(data))
    return packed + END


def archive(members: dict[str, Any] | None = None, gone: tuple[str, ...] = ()) -> bytes:
    """A whole archive with a true manifest."""
    members = parts() if members is None else members
    return gzip.compress(tar({**members, "manifest.json": manifest(members, gone)}), 1)


def with_member(member: tarfile.TarInfo, data: bytes = b"") -> bytes:
    """A whole archive with one more member before its manifest."""
    members = parts()
    more = member.tobuf(tarfile.GNU_FORMAT) + data + padding(len(data))
    return gzip.compress(tar(members)[: -len(END)] + more + tar({"manifest.json": manifest(members)}), 1)


def with_log(change: Callable[[list[bytes]], list[bytes]]) -> bytes:
    """A whole archive with another log, whose header says where it ends."""
    members = parts()
    records = change(members["log/00000001.jsonl"])
    last = f.decode_record(records[-1])
    header = msgspec.structs.replace(members["header.json"], seq=last.seq, head=engine.hash_record(records[-1]))
    return archive(members | {"header.json": header, "log/00000001.jsonl": records})


def with_facts(*facts: f.Fact) -> bytes:
    """A whole archive whose log has one more record, rightly chained."""

    def append(records: list[bytes]) -> list[bytes]:
        last = f.decode_record(records[-1])
        record = f.Record(last.seq + 1, 1.0, "eve", "EditsRequested", engine.hash_record(records[-1]), facts)
        return [*records, f.encode_record(record)]

    return with_log(append)


def read(data: bytes, folder: Path, limit_bytes: int = 0) -> Contents:
    """Read an archive into a blob folder of its own."""
    (folder / "archive").write_bytes(data)
    return ArchiveReader(folder / "archive", BlobFolder(folder / "blobs"), limit_bytes).read()
