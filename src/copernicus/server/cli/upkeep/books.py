"""A book, read from its first row to its last as it stands in one moment: is it whole, and which files does it need?"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import apsw
import msgspec

from copernicus.dataflow.checking import CheckedFold
from copernicus.dataflow.network import Network
from copernicus.dataflow.snapshot import encode
from copernicus.errors import CopernicusError, CorruptData
from copernicus.model.jobs import OPEN_STATES
from copernicus.server.app import SNAPSHOTS_NAME
from copernicus.server.cli.upkeep.findings import Inspection
from copernicus.server.peers.borrowed import Borrowed
from copernicus.server.projects.holdings import Held, LogIndex, job_holds, network_holds
from copernicus.server.projects.snapshots import FORM
from copernicus.server.storage.abc import JobRecord
from copernicus.server.storage.snapshots import SnapshotFolder
from copernicus.server.storage.sqlite.book import MIGRATIONS
from copernicus.server.storage.sqlite.database import check_schema, database_errors, open_reader, row_checksum

MOST_COMPLAINTS = 20
"""So many complaints of SQLite about one database are told."""
NOT_NEEDED = "Delete the folder snapshots: they are there to save time only."


class Needed(msgspec.Struct, frozen=True):
    """A file that the book refers to. `is_kept`: it must be there; others may have been deleted meanwhile."""

    size: int
    is_kept: bool
    name: str


class BookSurvey:
    """Reads one book. `needed` are the files that its sound projects refer to, by hash; `names` are the projects'."""

    def __init__(self, path: Path, inspection: Inspection) -> None:
        self.path, self._inspection = path, inspection
        self._snapshots = SnapshotFolder(path.with_name(SNAPSHOTS_NAME), FORM)
        self.needed: dict[str, Needed] = {}
        self.names: list[str] = []

    def read(self) -> None:
        """Look at everything, and note what is wrong in the inspection. Nothing is changed, nobody has to wait."""
        with noting(self.path, self._inspection), reading(self.path) as connection:
            check_schema(connection, self.path, MIGRATIONS)
            check_pages(connection, self.path, self._inspection)
            self._epochs(connection)
            self._hosts(connection)
            self._priorities(connection)
            self._borrowed(connection)
            networks: dict[str, tuple[Network, LogIndex]] = {}
            for id, name, created_at, checksum in connection.execute("SELECT id, name, created_at, checksum FROM projects"):
                self._inspection.projects += 1
                self.names.append(name)
                if row_checksum(b"", id, name, created_at) != checksum:
                    self._damaged(f"project {name}")
                found = self._log(connection, id, name)
                if found is not None:
                    networks[id] = found
            jobs = self._jobs(connection, set(networks))
            self._answers(connection)
            for id, (network, index) in networks.items():
                self._need(network_holds(network))
                self._need(index.holds())
                self._need(job_holds(network, jobs.get(id, ())))

    def _log(self, connection: apsw.Connection, id: str, name: str) -> tuple[Network, LogIndex] | None:
        fold, index = CheckedFold(), LogIndex()
        snapshots = {head.seq: head for head in self._snapshots.heads(id)}
        for seq, data, checksum in connection.execute(
            "SELECT seq, data, checksum FROM records WHERE project = ? ORDER BY seq", (id,)
        ):
            self._inspection.records += 1
            if row_checksum(data, id, seq) != checksum:
                self._damaged(f"record {seq} of project {name}", "What follows it was not looked at.")
                return None
            try:
                fold.fold(data)
            except CorruptData as error:
                self._inspection.add(self.path, f"Project {name}: {error.message}")
                return None
            index.take(data)
            if seq in snapshots and self._snapshots.read(snapshots[seq]) != encode(fold.network):
                self._inspection.add(
                    self.path, f"The snapshot of project {name} at record {seq} is not what the log says.", NOT_NEEDED
                )
        try:
            return fold.end(), index
        except CorruptData as error:
            self._inspection.add(self.path, f"Project {name}: {error.message}")
            return None

    def _jobs(self, connection: apsw.Connection, sound: set[str]) -> dict[str, list[JobRecord]]:
        """Look at all jobs, and return those that hold files, by project."""
        decode, found = msgspec.json.Decoder(JobRecord).decode, dict[str, list[JobRecord]]()
        projects = {row[0] for row in connection.execute("SELECT id FROM projects")}
        for id, project, key, data, checksum in connection.execute("SELECT id, project, key, data, checksum FROM jobs"):
            self._inspection.jobs += 1
            if row_checksum(data, id) != checksum:
                self._damaged(f"job {id}")
                continue
            try:
                job = decode(data)
            except msgspec.DecodeError as error:
                self._inspection.add(self.path, f"Job {id} cannot be read: {error}.")
                continue
            if (job.id, job.project, job.key) != (id, project, key) or project not in projects:
                self._inspection.add(self.path, f"Job {id} is not filed where it belongs.")
            elif project in sound and (job.state in OPEN_STATES or job.checkpoint or job.provisional is not None):
                found.setdefault(project, []).append(job)
        return found

    def _answers(self, connection: apsw.Connection) -> None:
        for request, who, answer, checksum in connection.execute("SELECT request_id, who, answer, checksum FROM answers"):
            if row_checksum(answer, request, who) != checksum:
                self._damaged(f"the answer to request {request}")

    def _epochs(self, connection: apsw.Connection) -> None:
        if connection.table_exists(None, "epochs"):  # a book of an older schema has none
            for floor, begun_at, checksum in connection.execute("SELECT floor, begun_at, checksum FROM epochs"):
                if row_checksum(b"epoch", floor, begun_at) != checksum:
                    self._damaged(f"epoch {floor}")

    def _hosts(self, connection: apsw.Connection) -> None:
        if connection.table_exists(None, "hosts"):  # as above
            for name, data, checksum in connection.execute("SELECT name, data, checksum FROM hosts"):
                if row_checksum(data, "host", name) != checksum:
                    self._damaged(f"host {name}")

    def _priorities(self, connection: apsw.Connection) -> None:
        if connection.table_exists(None, "priorities"):  # as above
            for project, priority, checksum in connection.execute("SELECT project, priority, checksum FROM priorities"):
                if row_checksum(b"priority", project, priority) != checksum:
                    self._damaged(f"the priority of project {project}")

    def _borrowed(self, connection: apsw.Connection) -> None:
        """Look at the attempts at other servers' jobs, and need what their workers have brought and nobody was told of yet."""
        if connection.table_exists(None, "borrowed"):  # as above
            for number, data, checksum in connection.execute("SELECT number, data, checksum FROM borrowed"):
                if row_checksum(data, "borrowed", number) != checksum:
                    self._damaged(f"the borrowed attempt {number}")
                else:
                    self._need(Held(file, "current", True) for file in msgspec.json.decode(data, type=Borrowed).brought())

    def _need(self, holds: Iterator[Held]) -> None:
        for held in holds:
            known = self.needed.get(held.file.blob)
            if known is None or (held.is_kept and not known.is_kept):
                self.needed[held.file.blob] = Needed(held.file.size, held.is_kept, held.file.name)

    def _damaged(self, what: str, more: str = "") -> None:
        self._inspection.add(self.path, f"{what[0].upper()}{what[1:]} does not match its checksum. {more}".rstrip())


@contextmanager
def reading(path: Path) -> Iterator[apsw.Connection]:
    """Open a database for reading; whatever is read stands as it was in one moment, also while a server writes."""
    connection = open_reader(path)
    try:
        with database_errors(path):
            connection.pragma("cell_size_check", True)
            connection.execute("BEGIN")
            yield connection
    finally:
        with database_errors(path):
            connection.close(True)


@contextmanager
def noting(what: Path, inspection: Inspection) -> Iterator[None]:
    """Turn what keeps something from being looked at into a finding."""
    try:
        yield
    except CorruptData as error:
        inspection.add(what, error.message.removeprefix(f"{what} "))
    except CopernicusError as error:
        inspection.add_error(what, error)
    except OSError as error:
        inspection.add(what, f"It cannot be read: {error.strerror}.", "Look after the disk and the modes of the files.")


def check_pages(connection: apsw.Connection, path: Path, inspection: Inspection) -> None:
    """Let SQLite check every page, index and reference of a database."""
    for (line,) in connection.execute(f"PRAGMA integrity_check({MOST_COMPLAINTS})"):
        if line != "ok":
            inspection.add(path, f"The database is damaged: {' '.join(str(line).split())}.")
    for table, row, _, _ in connection.execute("PRAGMA foreign_key_check"):
        inspection.add(path, f"Row {row} of {table} refers to what is not there.")
