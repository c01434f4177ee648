"""Archives that want to do harm, one attack each: all are refused, and nothing of them is left but unreferenced files."""

from __future__ import annotations

import gzip
import io
import tarfile
import tracemalloc
from pathlib import Path

import msgspec
import pytest
from tests.integration import archive_workshop as workshop
from tests.integration.archive_workshop import FILE, GIVEN, OUTPUT, archive, parts, read, tar, with_facts, with_log, with_member

from copernicus.dataflow import facts as f
from copernicus.errors import Refused, TooLarge
from copernicus.model.functions import Field, FunctionSchema, InnerConnection, InnerInstance
from copernicus.model.jobs import JobDescription, Output, StagedFile
from copernicus.model.values import FileRef
from copernicus.server.storage.abc import AttemptRow


def refused(tmp_path: Path, data: bytes, why: str, limit_bytes: int = 0) -> None:
    with pytest.raises((Refused, TooLarge), match=why):
        read(data, tmp_path, limit_bytes)


def member(name: str, kind: bytes = tarfile.REGTYPE, size: int = 0, link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.size, info.linkname = kind, size, link
    return info


def test_a_good_one_is_read_and_a_tar_program_can_read_it_too(tmp_path: Path) -> None:
    contents = read(archive(), tmp_path)
    assert contents.network.seq == len(contents.records)
    assert [job.state for job in contents.jobs] == ["done", "leased"]
    assert (tmp_path / "blobs" / FILE.blob[:2] / FILE.blob).read_bytes() == GIVEN
    with tarfile.open(tmp_path / "archive") as opened:
        assert len(opened.getnames()) == 6


@pytest.mark.parametrize(
    ("kind", "link"),
    [
        (tarfile.SYMTYPE, "/etc/passwd"), (tarfile.LNKTYPE, "header.json"), (tarfile.CHRTYPE, ""), (tarfile.BLKTYPE, ""),
        (tarfile.FIFOTYPE, ""), (tarfile.DIRTYPE, ""), (tarfile.CONTTYPE, ""), (tarfile.GNUTYPE_LONGNAME, ""),
        (tarfile.GNUTYPE_SPARSE, ""), (tarfile.XHDTYPE, ""), (tarfile.XGLTYPE, ""),
    ],
)  # fmt: skip
def test_links_devices_and_extended_headers(tmp_path: Path, kind: bytes, link: str) -> None:
    refused(tmp_path, with_member(member(f"files/{'0' * 64}", kind, link=link)), "no regular file")


@pytest.mark.parametrize(
    "name",
    ["/etc/cron.d/evil", "../evil", "files/../../evil", "files/./x", "evil", "files/" + "g" * 64, "log/1.jsonl", "HEADER.json",
     "files/" + "A" * 64, "", "log/00000001.jsonl/x", "./header.json", "files\\..\\evil"],
)  # fmt: skip
def test_names_that_lead_elsewhere(tmp_path: Path, name: str) -> None:
    refused(tmp_path, with_member(member(name)), "does not belong into it")
    assert not (tmp_path.parent / "evil").exists()


def test_a_member_twice(tmp_path: Path) -> None:
    refused(tmp_path, with_member(member(f"files/{FILE.blob}", size=len(GIVEN)), GIVEN), "twice")


def test_a_file_that_is_not_what_its_name_says(tmp_path: Path) -> None:
    refused(tmp_path, archive(parts() | {f"files/{FILE.blob}": GIVEN[:-1] + b"X"}), "not what its name says")
    assert not (tmp_path / "blobs" / FILE.blob[:2] / FILE.blob).exists()


def test_one_flipped_bit_anywhere_in_what_is_packed(tmp_path: Path) -> None:
    plain = bytearray(gzip.decompress(archive()))
    with tarfile.open(fileobj=io.BytesIO(bytes(plain))) as opened:
        spans = [(one.offset_data, one.size) for one in opened]
    positions = [start + step for start, size in spans for step in range(0, size, 151)]
    assert len(positions) > 100
    for position in positions:
        plain[position] ^= 1
        refused(tmp_path, gzip.compress(bytes(plain), 1), "This is not a whole archive")
        plain[position] ^= 1


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 0.99])
def test_a_part_of_one(tmp_path: Path, share: float) -> None:
    data = archive()
    refused(tmp_path, data[: int(len(data) * share)], "ends too early")


def test_a_part_that_ends_between_members(tmp_path: Path) -> None:
    whole = tar(parts())
    refused(tmp_path, gzip.compress(whole[:-1024]), "ends too early")
    refused(tmp_path, gzip.compress(whole), "manifest is missing")


def test_no_archive_at_all(tmp_path: Path) -> None:
    refused(tmp_path, b"#!/bin/sh\nrm -rf /\n", "damaged")
    refused(tmp_path, gzip.compress(b"x" * 5000), "header is damaged")


@pytest.mark.parametrize("name", ["files/" + "0" * 64, "log/00000001.jsonl"])
def test_a_bomb_is_given_up_before_it_goes_off(tmp_path: Path, name: str) -> None:
    size = 4 * 1024**3
    packed = gzip.compress(tar({"header.json": parts()["header.json"]})[:-1024] + member(name, size=size).tobuf(), 9)
    packed += gzip.compress(bytes(64 * 1024 * 1024), 9)
    tracemalloc.start()
    refused(tmp_path, packed, "times its size" if name.startswith("files") else "larger than such members")
    assert tracemalloc.get_traced_memory()[1] < 64 * 1024 * 1024
    tracemalloc.stop()
    left = sum(path.stat().st_size for path in (tmp_path / "blobs").rglob("*") if path.is_file())
    assert left == 0


def test_more_than_the_server_takes(tmp_path: Path) -> None:
    with pytest.raises(TooLarge, match="archive_limit_bytes"):
        read(archive(), tmp_path, limit_bytes=len(GIVEN) + 2000)


def test_a_manifest_that_names_something_else(tmp_path: Path) -> None:
    members = parts()
    told = workshop.manifest(members)
    for wrong in (
        msgspec.structs.replace(told, files=1),
        msgspec.structs.replace(told, files_hash="0" * 64),
        msgspec.structs.replace(told, members=told.members[:-1]),
        msgspec.structs.replace(told, files_bytes=0),
    ):
        refused(tmp_path, gzip.compress(tar({**members, "manifest.json": wrong})), "not those that its manifest names")
    more = tar({**members, "manifest.json": told})[:-1024] + tar({f"files/{'0' * 64}": b""})
    refused(tmp_path, gzip.compress(more), "follows its manifest")
    refused(tmp_path, archive() + gzip.compress(b"more"), "follows its end")


def test_a_missing_file_and_one_that_is_said_to_be_gone(tmp_path: Path) -> None:
    members = parts()
    del members[f"files/{OUTPUT.blob}"]
    refused(tmp_path, archive(members), "'traj.xtc' is missing")
    assert read(archive(members, gone=(OUTPUT.blob,)), tmp_path).manifest.gone == (OUTPUT.blob,)


def test_another_format(tmp_path: Path) -> None:
    header = msgspec.structs.replace(parts()["header.json"], format=2)
    refused(tmp_path, archive(parts() | {"header.json": header}), "its format is 2, this server reads 1")


# --- logs ------------------------------------------------------------------------------------------------------------


def test_a_log_out_of_order_or_forged(tmp_path: Path) -> None:
    refused(tmp_path, with_log(lambda records: [records[0], *records[2:]]), "does not follow")
    refused(tmp_path, with_log(lambda records: [records[1], records[0], *records[2:]]), "does not follow")
    refused(tmp_path, with_log(lambda records: [records[0].replace(b"ada", b"eve"), *records[1:]]), "does not follow")
    refused(tmp_path, with_log(lambda records: [b"[" * 100_000, *records]), "is no record")
    header = msgspec.structs.replace(parts()["header.json"], seq=1)
    refused(tmp_path, archive(parts() | {"header.json": header}), "not 1 as its header says")


def function(name: str, inner: str = "t::work", count: int = 1, kind: str = "network", type: str = "int") -> f.Declared:
    instances = tuple(InnerInstance(f"i{n}", inner) for n in range(count)) if kind == "network" else ()
    base = inner if kind == "scatter" else ""
    return f.Declared(FunctionSchema(name, kind, (Field("x", type),), (Field("y", "int"),), instances=instances, base=base))  # type: ignore[arg-type]


DEEP = function("t::deep", kind="pure", type="int" + "[]" * 9000)
SELF = f.Declared(FunctionSchema("t::self", "network", instances=(InnerInstance("a", "t::self"),)))
DOUBLINGS = tuple(function(f"t::d{n}", f"t::d{n - 1}" if n else "t::work", 2) for n in range(40))
LONG = f.Declared(
    FunctionSchema(
        "t::long", "network", (Field("a", "float"),), (), instances=(InnerInstance("add", "t::add"),),
        connections=(InnerConnection("self:in.a", "add:in.a[999999999]"),),
    )
)  # fmt: skip


@pytest.mark.parametrize(
    "facts",
    [
        (f.Made(99, "x", 99, "t::add"),),
        (f.Made(99, "x", 0, "t::add"),),
        (f.Made(1, "x", 0, "t::add"),),
        (f.Made(8, "../x", 0, "t::add"),),
        (f.Made(8, "x", 0, "t::none"),),
        (f.Made(8, "x", 1, "t::add"),),
        (f.Made(8, "one", 0, "t::add"),),
        (f.Made(8, "x", 0, "t::add", False, 3),),
        (f.Made(8, "work_9", 2, "t::add", False, 9),),
        (f.Removed(0),),
        (f.Removed(2),),
        (f.Wrote(1, "in", ("n",), "text"),),
        (f.Wrote(1, "in", ("n",), True),),
        (f.Wrote(2, "in", ("conf", 2_000_000_000), None),),
        (f.Wrote(2, "in", ("conf", -5), None),),
        (f.Wrote(2, "in", ("conf", 0), {"blob": "../../etc/passwd", "size": 1, "name": "x"}),),
        (f.Wrote(2, "in", ("conf", 0), {"blob": FILE.blob, "size": -1, "name": "x"}),),
        (f.Wrote(2, "in", ("none",), 1),),
        (f.Wrote(1, "elsewhere", ("n",), 1),),
        (f.Wrote(0, "in", ("n",), 1),),
        (f.Shortened(1, "in", ("n",), 0),),
        (f.Widened(2, 1_000_000_000),),
        (f.Widened(2, 1000),),
        (f.Widened(1, 1),),
        (f.Connected(3, "in", ("a",), 3, "out", ("c",)),),
        (f.Connected(5, "in", ("b",), 1, "out", ("traj",)),),
        (f.Connected(5, "in", ("b",), 77, "out", ("c",)),),
        (f.Connected(5, "in", (), 3, "out", ()),),
        (f.Disconnected(1, "in", ("conf",)),),
        (f.Took(1, "no such key", 1),),
        (f.Filed("no such key"),),
        (f.Stood(1, "no such key"),),
        (f.Left(5),),
        (f.Seen(77, 1),),
        (f.Begun("k", 1, JobDescription("gmx", files=(StagedFile("../../.ssh/authorized_keys", FILE),))),),
        (f.Begun("k", 1, JobDescription("gmx", files=(StagedFile("/etc/passwd", FILE),))),),
        (f.Begun("k", 1, JobDescription("gmx", outputs={"x": Output("file", "../*")})),),
        (f.Begun("k", 1, JobDescription("gmx", outputs={"x": Output("text", "", "/etc/passwd")})),),
        (f.Begun("k", 3, None),),
        (DEEP,),
        (SELF,),
        DOUBLINGS,
        (LONG,),
        (function("t::a"), function("t::b", "t::a"), function("t::a", "t::b")),
        (function("t::s", "t::s", kind="scatter"),),
    ],
)  # fmt: skip
def test_facts_that_cannot_be_true(tmp_path: Path, facts: tuple[f.Fact, ...]) -> None:
    refused(tmp_path, with_facts(*facts), "cannot be true|wider than it is|is no record|content of")


def test_a_file_that_its_log_speaks_of_must_be_in_it(tmp_path: Path) -> None:
    other = {"blob": "0" * 64, "size": 5, "name": "secret"}
    refused(tmp_path, with_facts(f.Wrote(1, "in", ("conf",), other)), "'secret' is missing")
    refused(tmp_path, with_facts(f.Wrote(1, "in", ("conf",), other | {"blob": FILE.blob})), "another size")


# --- jobs ------------------------------------------------------------------------------------------------------------


def test_jobs_that_cannot_be(tmp_path: Path) -> None:
    good = parts()["jobs/00000001.jsonl"]
    job = good[1]
    for wrong in (
        msgspec.structs.replace(job, description=JobDescription("gmx", files=(StagedFile("../x", FILE),))),
        msgspec.structs.replace(job, description=JobDescription("gmx", checkpoint=("/etc/*",))),
        msgspec.structs.replace(job, checkpoint=(StagedFile("../x", FILE),)),
        msgspec.structs.replace(job, checkpoint=(StagedFile("x", FileRef("no hash", 1)),)),
        msgspec.structs.replace(job, checkpoint=(StagedFile("x", FileRef("0" * 64, 1, "state.cpt")),)),
        msgspec.structs.replace(job, attempts=(AttemptRow(2, "w"), AttemptRow(1, "w"))),
        msgspec.structs.replace(job, attempt=0, attempts=(AttemptRow(1, "w"),)),
        msgspec.structs.replace(job, id=-1),
        good[0],
    ):
        members = parts() | {"jobs/00000001.jsonl": [good[0], wrong]}
        refused(tmp_path, archive(members), "cannot be|has no number|same key|missing")
