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
from copernicus.errors import CopernicusError, ModuleError
from copernicus.model.functions import ModuleSchema
from copernicus.plugin import registry
from copernicus.plugin.evaluation import evaluate, failure
from copernicus.plugin.files import read_blobs_with
from copernicus.plugin.function_files import read_functions
from copernicus.plugin.lines import LINE_LIMIT_BYTES, Reply, Request
from copernicus.plugin.module import Function, Module

ORPHAN_GRACE_S = 5.0


class Catalog:
    """All modules that could be loaded, and why others could not."""

    def __init__(self, import_path: str = "") -> None:
        self.modules: dict[str, Module] = {}
        self.errors: dict[str, str] = {}
        for entry in [*registry.functions(), *_modules_on(import_path)]:
            try:
                module = _module_of(entry)
            except CopernicusError as error:
                self.errors[entry.name] = str(error)
                continue
            # A person's own module comes later, and stands in the place of an installed one of the same name.
            self.modules[module.name] = module
            self.errors.pop(module.name, None)
        self.functions = {function.name: function for module in self.modules.values() for function in module.functions.values()}

    functions: dict[str, Function[..., object]]

    def schemas(self) -> list[ModuleSchema]:
        """Return every module as data, by name; those with an error have no functions."""
        schemas = {name: module.schema() for name, module in self.modules.items()}
        for name, error in self.errors.items():
            known = schemas.get(name)
            schemas[name] = msgspec.structs.replace(known, error=error) if known else ModuleSchema(name, error=error)
        return [schemas[name] for name in sorted(schemas)]


def _module_of(entry: registry.Entry) -> Module:
    """Return the module of an entry, with what a functions.toml beside it declares; raise `ModuleError`."""
    if entry.error:
        raise ModuleError(entry.error)
    module = entry.loaded
    if module is None and entry.file is not None:
        module = Module(entry.name.replace("-", "_"))
    if not isinstance(module, Module):
        raise ModuleError(f"{entry.source} is not a Module, but {module!r}.")
    if entry.file is not None:
        read_functions(entry.file, module)
    return module


def _modules_on(import_path: str) -> Iterator[registry.Entry]:
    """The modules in further folders, which are put on Python's path."""
    for folder in (Path(part) for part in import_path.split(os.pathsep) if part):
        sys.path.insert(0, str(folder))
        for package in registry.module_folders(folder, "functions"):
            yield registry.load_folder(package, "functions", "module", f"{package.name}.functions")


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


def _reply(catalog: Catalog, request: Request) -> bytes:
    if request.call is None:
        return msgspec.json.encode(Reply(request.id, modules=catalog.schemas()))
    encoded = msgspec.json.encode(Reply(request.id, evaluate(catalog.functions, request.call)))
    if len(encoded) < LINE_LIMIT_BYTES:
        return encoded
    error = f"{request.call.function} answered with {len(encoded)} bytes; at most {LINE_LIMIT_BYTES} are allowed."
    return msgspec.json.encode(Reply(request.id, failure(request.call, error)))


def main(arguments: list[str] | None = None) -> int:
    """Load the modules, then answer until standard input ends."""
    parser = argparse.ArgumentParser(prog="copernicus.plugin.runner", description=__doc__.partition("\n")[0])
    parser.add_argument("--blobs", required=True, help="folder of blobs, from which modules read files")
    parser.add_argument("--import-path", default="", help=f"further folders of modules, separated by {os.pathsep!r}")
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    requests, replies = _take_pipes()
    _die_with_parent(requests)
    read_blobs_with(BlobFolder(Path(options.blobs)).read_bytes)
    catalog = Catalog(options.import_path)
    decoder = msgspec.json.Decoder(Request)
    try:
        for line in _lines(requests):
            # Each reply leaves at once: the other side takes the first call without a reply for the one at work.
            _write(replies, _reply(catalog, decoder.decode(line)) + b"\n")
    except BrokenPipeError:
        return 1
    return 0


def _write(replies: BinaryIO, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[replies.write(view) :]


if __name__ == "__main__":
    sys.exit(main())
