"""The composition root: the one file that knows everyone."""

from __future__ import annotations

import asyncio
import datetime
import logging
import os
import signal
import socket
import ssl
import sys
import time
from contextlib import AsyncExitStack, suppress
from pathlib import Path

import msgspec

from copernicus._version import __version__
from copernicus.blobs.durable import check_space
from copernicus.blobs.folder import BlobFolder
from copernicus.config import settings as server_settings
from copernicus.config.files import check_private
from copernicus.config.places import ServerPlaces, server_label
from copernicus.config.running import FolderLock
from copernicus.config.settings import ServerSettings
from copernicus.errors import CopernicusError, Unavailable
from copernicus.net.keys import KeyFolder
from copernicus.net.statements import Issuers
from copernicus.net.tls import fingerprint, renew, server_client_port_context, server_secure_port_context, trust_also
from copernicus.server.access.audit import Audit
from copernicus.server.access.bundles import Address as BundleAddress, Bundles
from copernicus.server.access.door import Door
from copernicus.server.access.identity import Identity
from copernicus.server.access.users import Users
from copernicus.server.dispatch.dispatch import Dispatch
from copernicus.server.dispatch.loans import Loans
from copernicus.server.dispatch.quarantine import Quarantine
from copernicus.server.dispatch.steering import Steering
from copernicus.server.http.calls import About, Rooms
from copernicus.server.http.files import Files
from copernicus.server.http.lines import Lines
from copernicus.server.http.server import HttpServer
from copernicus.server.peers.federation import Federation
from copernicus.server.peers.room import PeerRoom
from copernicus.server.peers.trust import Address, Trust
from copernicus.server.projects.archives.service import Archives
from copernicus.server.projects.keeping import Keeping
from copernicus.server.projects.pool import Pool
from copernicus.server.projects.reproducing import Reproductions
from copernicus.server.projects.retention import Retention, keep_sweeping
from copernicus.server.projects.service import Projects
from copernicus.server.projects.snapshots import FORM, Snapshots
from copernicus.server.storage.abc import ProjectRow, Unit
from copernicus.server.storage.snapshots import SnapshotFolder
from copernicus.server.storage.sqlite.access import SqliteAccessStore
from copernicus.server.storage.sqlite.book import SqliteBook
from copernicus.wire.messages import ReadSettingsReply

BOOK_NAME, BLOBS_NAME, SNAPSHOTS_NAME = "book.sqlite", "blobs", "snapshots"
SNAPSHOT_MAKER = "copernicus.server.cli.upkeep.snapshotting"
RECOVERY_PAUSE_S = 1.0
RENEWAL_S = 6 * 3600.0
DAY_S = 24 * 3600.0
LARGEST_MESSAGE = 1 << 30
SWEEP_S, SWEEP_LEAST_S = 3600.0, 10.0
_log = logging.getLogger(__name__)


class Server:
    """One server: made, `start`ed, `stop`ped, in one event loop. Both ports are open when `start` returns.

    Raise `SettingsError` when the folder is in use or its settings, keys or ports cannot be used, `CorruptData` when what
    is stored is damaged.
    """

    def __init__(self, folder: Path, settings: ServerSettings) -> None:
        self._settings = settings
        self._places = ServerPlaces(folder)
        self._closing = AsyncExitStack()
        self._closing.callback(FolderLock(folder).release)
        self._closing.callback(self._release_projects)
        self._project_lock: FolderLock | None = None
        self._run_dir = Path(settings.run_dir)
        self._keys = KeyFolder(self._places.keys)
        self._refusal: CopernicusError | None = Unavailable("The server is starting.", "Try again.")
        self._recovery: asyncio.Task[None] | None = None
        self._is_stopping = False
        self._contexts: list[ssl.SSLContext] = []

    async def start(self) -> None:
        """Read what is stored, go on where it was left, and open both ports; nothing stays open when that fails."""
        try:
            await self._start()
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Answer who waits, finish what is under way, close everything."""
        self._is_stopping = True
        self._refusal = Unavailable("The server is stopping.", "Try again when it is back.")
        await self._closing.aclose()
        _log.info("server stopped")

    async def _start(self) -> None:
        """Every room says, as soon as it stands, how it is closed; that happens in the reverse order."""
        closing = self._closing
        self._prepare()
        self._build()
        closing.callback(self._access.close)
        closing.callback(self._audit.close)
        closing.push_async_callback(self._close_store)
        closing.callback(self._files.close)
        self._dispatch.load()
        self._federation.load()
        closing.push_async_callback(self._projects.close)
        await self._projects.open()
        self._dispatch.fence()
        await self._store.submit(Unit())
        self._refusal = None
        closing.callback(self._archives.close)
        closing.push_async_callback(self._http.close)
        closing.callback(self._dispatch.close)
        closing.callback(self._projects.answer_waiting)
        await self._listen()
        self._peers.start()
        closing.push_async_callback(self._federation.close)
        for duty in (self._watch_workers, self._watch_certificate, self._sweep):
            closing.push_async_callback(_ended, asyncio.create_task(duty()))
        closing.push_async_callback(self._end_recovery)
        _log.info("server %s listens on ports %d and %d", __version__, *self._ports)

    def _prepare(self) -> None:
        """Look at keys and folders before anything is read: nobody else may see into them, or use them."""
        self._keys.check()
        check_private(self._places.folder, "The server's folder")
        if self._places.access.exists():
            check_private(self._places.access, "The database of users")
        self._keys.renew_server_certificate(self._settings.certificate_names, _now())
        if self._run_dir.exists():
            self._claim()

    async def _close_store(self) -> None:
        with suppress(CopernicusError):
            await self._store.submit(Unit())
        self._store.close()

    def _build(self) -> None:
        """Make every room and tell each what it needs of the others."""
        settings = self._settings
        self._access = SqliteAccessStore(self._places.access)
        self._audit = Audit(self._places.audit, time.time)
        self._store = SqliteBook(self._run_dir / BOOK_NAME, self._claim)
        self._blobs = blobs = BlobFolder(self._run_dir / BLOBS_NAME, reserve_bytes=settings.disk_reserve_bytes)
        self._dispatch = Dispatch(
            store=self._store,
            names=self._names,
            name_of=self._name_of,
            has_blob=blobs.has,
            clock=time.time,
            monotonic=time.monotonic,
            heartbeat_s=settings.heartbeat_time,
        )
        size = settings.server_cores or os.cpu_count() or 1
        pool = Pool(size, blobs.root, os.pathsep.join(settings.import_path))
        snapshots = Snapshots(SnapshotFolder(self._run_dir / SNAPSHOTS_NAME, FORM), self._store, self._snapshot_command())
        self._projects = Projects(
            store=self._store, jobs=self._dispatch.jobs, blobs=blobs, pool=pool, snapshots=snapshots, clock=time.time
        )
        self._dispatch.ends = self._projects
        self._dispatch.when_broken = self._recover_from
        self._store.when_refused(self._recover_from)
        self._files = Files(blobs, settings.blob_limit_bytes)
        about = self._about()
        self._archives = Archives(
            home=self._projects, store=self._store, jobs=self._dispatch.jobs, blobs=blobs, clock=time.time,
            server=about.fingerprint, hostname=about.hostname, limit_bytes=settings.archive_limit_bytes,
        )  # fmt: skip
        self._retention = Retention(
            home=self._projects, store=self._store, jobs=self._dispatch.jobs, blobs=blobs, pinned=self._pinned,
            clock=time.time, retention_s=settings.retention_days * DAY_S, high_water=settings.disk_high_water,
        )  # fmt: skip
        keeping = Keeping(
            self._projects.find, self._projects.live, self._store, blobs, self._retention, time.time, self._dispatch.jobs
        )  # fmt: skip
        reproductions = Reproductions(self._projects.find, self._store, self._dispatch.jobs, blobs, pool, time.time)
        rooms = Rooms(
            store=self._store,
            access=self._access,
            users=Users(self._access, time.time),
            bundles=Bundles(self._access, self._keys, time.time),
            door=Door(self._access),
            audit=self._audit,
            lines=Lines(),
            projects=self._projects,
            archives=self._archives,
            keeping=keeping,
            reproductions=reproductions,
            dispatch=self._dispatch,
            steering=Steering(self._dispatch, self._store, time.time),
            quarantine=Quarantine(self._dispatch, self._store, time.time),
            files=self._files,
            federation=self._make_federation(about),
            about=about,
            refusal=lambda: self._refusal,
            stop=lambda: signal.raise_signal(signal.SIGTERM),
            read_settings=self._read_settings,
        )
        self._http = HttpServer(rooms, settings.message_limit_bytes, settings.rate_limit, settings.patience)

    def _pinned(self) -> set[str]:
        """Files in use that no project refers to."""
        return self._archives.pinned() | self._federation.book.blobs()

    def _make_federation(self, about: About) -> Federation:
        settings = self._settings
        issuers = Issuers(about.fingerprint, about.authority)

        def address() -> Address:
            return Address(about.hostname, settings.public_host, about.client_port, about.secure_port)

        trust = Trust(self._access, self._keys, issuers, about.fingerprint, about.authority, address, time.time)
        self._peers = PeerRoom(
            trust, issuers, self._keys, keep_alive_s=settings.keep_alive_interval, reconnect_s=settings.reconnect_interval,
            limit_bytes=settings.message_limit_bytes or LARGEST_MESSAGE,
        )  # fmt: skip
        self._peers.trust_authority = self._trust_authority
        loans = Loans(self._dispatch)
        self._peers.when_parted = lambda id: self._part(loans, id)
        self._federation = Federation(
            self._peers, own=self._dispatch, streams=self._dispatch.streams, loans=loans, store=self._store, blobs=self._blobs,
            clock=time.time, monotonic=time.monotonic,
        )  # fmt: skip
        loans.when_waiting(self._federation.news.queued)
        return self._federation

    def _part(self, loans: Loans, id: str) -> None:
        """A peer is trusted no more: what its workers have goes back to the queue."""
        task = asyncio.ensure_future(loans.part(Identity("peer", "peer", serial=id)))
        task.add_done_callback(lambda done: done.cancelled() or done.exception())

    def _trust_authority(self, authority: str) -> None:
        """Let the secure port take another server's certificates; whose they are is looked at with every request."""
        trust_also(self._contexts[1], authority)

    def _snapshot_command(self) -> list[str]:
        return [sys.executable, "-m", SNAPSHOT_MAKER, str(self._run_dir / BOOK_NAME), str(self._run_dir / SNAPSHOTS_NAME)]

    # The job book is loaded before the projects are: until then there is nobody to ask.

    def _names(self) -> list[ProjectRow]:
        return self._projects.names()

    def _name_of(self, project: str) -> str:
        return self._projects.name_of(project)

    def _about(self) -> About:
        authority = self._keys.authority()
        return About(
            hostname=self._settings.server_fqdn or socket.gethostname(),
            authority=authority,
            fingerprint=fingerprint(authority),
            version=__version__,
            client_port=self._settings.client_secure_port,
            secure_port=self._settings.server_secure_port,
            started_at=time.time(),
            address=BundleAddress(server_label(self._places.folder), (self._settings.public_host,), *self._ports),
        )

    @property
    def _ports(self) -> tuple[int, int]:
        return self._settings.client_secure_port, self._settings.server_secure_port

    def _claim(self) -> None:
        """Keep a second server out of PROJECT_DIR; made by the first project, it can only be claimed then."""
        if self._project_lock is None:
            self._project_lock = FolderLock(self._run_dir)

    def _release_projects(self) -> None:
        if self._project_lock is not None:
            self._project_lock.release()

    async def _listen(self) -> None:
        host = self._settings.listen_host
        certificate, key = self._keys.server_certificate, self._keys.server_key
        for_clients = server_client_port_context(certificate, key)
        for_bundles = server_secure_port_context(certificate, key, self._keys.authority())
        self._contexts = [for_clients, for_bundles]
        client_port, secure_port = self._ports
        await self._http.listen(host, secure_port, for_bundles, is_secure_port=True)
        await self._http.listen(host, client_port, for_clients, is_secure_port=False)

    # --- while it runs

    def _read_settings(self) -> ReadSettingsReply:
        """Read the settings again; those that can change while the server runs do."""
        fresh, old = server_settings.load(self._places.folder), self._settings
        names = [name for name in server_settings.names() if getattr(fresh, name) != getattr(old, name)]
        changed = {name: getattr(fresh, name) for name in names if name in server_settings.LIVE}
        self._settings = msgspec.structs.replace(old, **changed)
        self._dispatch.heartbeat_s = self._dispatch.workers.heartbeat_s = self._settings.heartbeat_time
        self._blobs.reserve_bytes = self._settings.disk_reserve_bytes
        self._files.limit_bytes = self._settings.blob_limit_bytes
        self._http.limit_bytes = self._settings.message_limit_bytes
        self._http.rate_limit, self._http.patience_s = self._settings.rate_limit, self._settings.patience
        logging.getLogger("copernicus").setLevel(logging.INFO if self._settings.mode == "prod" else logging.DEBUG)
        _log.info("settings read again, new: %s", changed or "nothing")
        later = {name: str(getattr(fresh, name)) for name in names if name not in server_settings.LIVE}
        return ReadSettingsReply({name: str(value) for name, value in changed.items()}, later)

    def _recover_from(self, error: Exception) -> None:
        """The disk refused something, or a decision broke off: what is in memory counts no more."""
        if self._is_stopping or (self._recovery is not None and not self._recovery.done()):
            return
        _log.error("memory is thrown away and read again: %s", error, exc_info=not isinstance(error, CopernicusError))
        fault = Unavailable("The server is recovering from a fault.", "Try again.")
        self._refusal = error if isinstance(error, Unavailable) else fault
        self._recovery = asyncio.get_running_loop().create_task(self._recover())

    async def _recover(self) -> None:
        while True:
            try:
                if self._run_dir.exists():  # what a full disk refused once it would refuse again
                    await asyncio.to_thread(check_space, self._run_dir)
                await self._store.recover()
                self._dispatch.load()
                self._federation.load()
                self._projects.reopen()
                self._dispatch.fence()
                await self._store.submit(Unit())
                break
            except CopernicusError as error:
                _log.warning("not recovered yet: %s", error)
                if isinstance(error, Unavailable):
                    self._refusal = error
            except Exception:
                _log.exception("not recovered yet")
            await asyncio.sleep(RECOVERY_PAUSE_S)
        self._refusal = None
        _log.info("recovered")

    async def _end_recovery(self) -> None:
        if self._recovery is not None:
            await _ended(self._recovery)

    async def _watch_workers(self) -> None:
        while True:
            await asyncio.sleep(max(0.1, self._settings.heartbeat_time / 20))
            if self._refusal is None:
                try:
                    self._dispatch.tick()
                    self._federation.lending.tick()
                except Exception:
                    _log.exception("looking after the workers failed")

    async def _sweep(self) -> None:
        """Delete what has had its time; the shorter that is, the more often."""
        retention_s = self._settings.retention_days * DAY_S or SWEEP_S
        await keep_sweeping(self._retention, min(SWEEP_S, max(SWEEP_LEAST_S, retention_s / 100)))

    async def _watch_certificate(self) -> None:
        """Renew the server's certificate in time, without dropping a connection."""
        while True:
            await asyncio.sleep(RENEWAL_S)
            try:
                if self._keys.renew_server_certificate(self._settings.certificate_names, _now()):
                    for context in self._contexts:
                        renew(context, self._keys.server_certificate, self._keys.server_key)
            except Exception:
                _log.exception("the certificate could not be renewed")


async def _ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)
