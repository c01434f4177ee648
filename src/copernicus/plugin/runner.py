"""The process that runs module code: `python -m copernicus.plugin.runner --blobs DIR [--import-path DIR…]`.

It answers lines of JSON (see `plugin.lines`) one after the other, in order. What modules print goes to standard error.
"""

from __future__ import annotations

import argparse
import os
import select
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import msgspec

from copernicus.blobs.folder import BlobFolder
from copernicus.dataflow.calls import ControllerCall
from copernicus.model.values import half_character
from copernicus.plugin.catalog import Catalog
from copernicus.plugin.evaluation import evaluate, failure
from copernicus.plugin.files import read_blobs_with
from copernicus.plugin.lines import LINE_LIMIT_BYTES, MEMORY_LIMIT_BYTES, Reply, Request
from copernicus.plugin.memory import Memories, key_of

ORPHAN_GRACE_S = 5.0


def _take_pipes() -> tuple[int, BinaryIO]:
    """Keep stdin and stdout for the conversation, and give modules /dev/null and stderr in their place."""
    requests, replies = os.dup(0), os.fdopen(os.dup(1), "wb", buffering=0)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    return requests, replies


def _die_with_parent(requests: int) -> None:
    """End the process some seconds after the other end of the pipe was closed, whatever module code is doing then."""

    def watch() -> None:
        poll = select.poll()
        poll.register(requests, 0)
        poll.poll()
        time.sleep(ORPHAN_GRACE_S)
        os._exit(1)

    threading.Thread(target=watch, name="orphan-watch", daemon=True).start()


def _lines(requests: int) -> Iterator[bytes]:
    rest = b""
    while chunk := os.read(requests, 1 << 20):
        *whole, rest = (rest + chunk).split(b"\n")
        yield from whole


def _reply(catalog: Catalog, memories: Memories, request: Request, size_bytes: int) -> bytes:
    call = request.call
    if call is None:
        return msgspec.json.encode(Reply(request.id, modules=catalog.schemas()))
    began_s = time.monotonic()
    answer = evaluate(catalog.functions, call, memories, size_bytes)
    took_s = time.monotonic() - began_s
    does_keep = isinstance(call, ControllerCall) and memories.seen(key_of(call)) == call.seen
    error = ""
    try:
        encoded = msgspec.json.encode(Reply(request.id, answer, does_keep=does_keep, took_s=took_s))
    except UnicodeEncodeError as wrong:
        encoded, error = b"", f"{call.function} answered with {wrong.object[:60]!r}, where {half_character(wrong.object)}."
    if not error and len(encoded) < LINE_LIMIT_BYTES:
        if isinstance(call, ControllerCall):
            memories.charge(key_of(call), len(encoded))
        return encoded
    if isinstance(call, ControllerCall):
        memories.forget(key_of(call))
    error = error or f"{call.function} answered with {len(encoded)} bytes; at most {LINE_LIMIT_BYTES} are allowed."
    return msgspec.json.encode(Reply(request.id, failure(call, error)))


def main(arguments: list[str] | None = None) -> int:
    """Load the modules, then answer until standard input ends."""
    parser = argparse.ArgumentParser(prog="copernicus.plugin.runner", description=__doc__.partition("\n")[0])
    parser.add_argument("--blobs", required=True, help="folder of blobs, from which modules read files")
    parser.add_argument("--import-path", default="", help=f"further folders of modules, separated by {os.pathsep!r}")
    parser.add_argument("--memory-bytes", type=int, default=MEMORY_LIMIT_BYTES, help="what is kept of controllers, at most")
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    requests, replies = _take_pipes()
    _die_with_parent(requests)
    blobs = BlobFolder(Path(options.blobs).absolute())
    read_blobs_with(blobs.read_bytes, blobs.path)
    catalog = Catalog(options.import_path)
    memories = Memories(options.memory_bytes)
    decoder = msgspec.json.Decoder(Request)
    try:
        for line in _lines(requests):
            # Each reply leaves at once: the other side takes the first call without a reply for the one at work.
            _write(replies, _reply(catalog, memories, decoder.decode(line), len(line)) + b"\n")
    except BrokenPipeError:
        return 1
    return 0


def _write(replies: BinaryIO, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[replies.write(view) :]


if __name__ == "__main__":
    sys.exit(main())
