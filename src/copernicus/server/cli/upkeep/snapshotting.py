"""Makes a snapshot of one project, as a process of its own: `python -m … BOOK FOLDER PROJECT`."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from copernicus.dataflow import snapshot
from copernicus.dataflow.engine import fold
from copernicus.dataflow.network import Network
from copernicus.errors import CopernicusError
from copernicus.server.projects.snapshots import FORM, borne_out, load
from copernicus.server.storage.snapshots import SnapshotFolder
from copernicus.server.storage.sqlite.reading import BookReader

PAGE = 1000
NICE = 19


def make(book: BookReader, folder: SnapshotFolder, project: str) -> None:
    """Read the log of a project to its end, from the last snapshot on, and keep what then stands."""
    heads = borne_out(folder, book, project)
    network = next((found for found in (load(folder, head) for head in heads) if found is not None), Network())
    first = network.seq
    for data in _records(book, project, network.seq):
        fold(network, data)
    if network.seq > first:
        folder.put(project, network.seq, network.head, snapshot.encode(network))


def _records(book: BookReader, project: str, after: int) -> Iterator[bytes]:
    """The records above `after`, page by page: one long read would keep the server's write-ahead log growing."""
    while page := list(islice(book.records(project, after), PAGE)):
        yield from (data for _, data in page)
        after = page[-1][0]


def main() -> int:
    """Make the snapshot; say on stderr why that was not possible."""
    os.nice(NICE)
    path, folder, project = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
    book = BookReader(path)
    try:
        make(book, SnapshotFolder(folder, FORM), project)
    except (CopernicusError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    finally:
        book.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
