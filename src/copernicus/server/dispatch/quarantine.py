"""Quarantine as people see and steer it: which hosts get no jobs, and why. Durable before it is answered."""

from __future__ import annotations

import logging
from collections.abc import Callable

from copernicus.errors import Refused, UnknownPath
from copernicus.server.dispatch.dispatch import Dispatch
from copernicus.server.storage.abc import BookStore, HostRecord, RememberAnswer, Unit
from copernicus.wire import messages as m
from copernicus.wire.codec import decode, encode

MOST_WORDS = 200
_log = logging.getLogger(__name__)


class Quarantine:
    """Acts on the hosts of `dispatch`, in its event loop; `clock` is the wall clock."""

    def __init__(self, dispatch: Dispatch, store: BookStore, clock: Callable[[], float]) -> None:
        self._dispatch, self._store, self._clock = dispatch, store, clock
        self._hosts = dispatch.jobs.hosts

    def listing(self) -> m.QuarantineReply:
        """The hosts in quarantine, the one that has been for longest first."""
        return m.QuarantineReply([self._row(host) for host in self._hosts.quarantined()])

    async def add(self, request: m.AddQuarantineRequest, who: str) -> m.Done:
        """Give the workers of a host no more jobs. Raise `UnknownPath` or `Refused`."""

        def put(unit: Unit, host: str) -> str:
            if self._hosts.why_quarantined(host):
                raise Refused(f"{host} is in quarantine already.", f"It gets jobs again with: cpcc quarantine release {host}")
            why = request.why[:MOST_WORDS] or "no reason was given"
            self._hosts.quarantine(unit, host, f"{who} wanted it: {why}", who)
            return f"{host} is in quarantine: its workers get no more jobs. What they have they may finish."

        return await self._do(request, who, put)

    async def release(self, request: m.ReleaseQuarantineRequest, who: str) -> m.Done:
        """Give the workers of a host jobs again, and forget what was held against it. Raise `UnknownPath` or `Refused`."""

        def release(unit: Unit, host: str) -> str:
            if not self._hosts.why_quarantined(host):
                raise Refused(f"{host} is not in quarantine.", "`cpcc quarantine list` shows the hosts that are.")
            self._hosts.release(unit, host)
            return f"{host} is in quarantine no more: its workers get jobs again."

        return await self._do(request, who, release)

    async def _do(self, request: m.QuarantineCommand, who: str, decide: Callable[[Unit, str], str]) -> m.Done:
        remembered = self._store.answer(request.request_id, who) if request.request_id else None
        if remembered is not None:
            await self._store.submit(Unit())
            return decode(remembered, m.Done)
        host, unit = self._host(request.worker), Unit()
        with self._dispatch.deciding(unit):
            done = m.Done(decide(unit, host))
        _log.info("%s (%s)", done.note, who)
        if request.request_id:
            unit.add(RememberAnswer(request.request_id, who, encode(done), self._clock()))
        unit.then(lambda: self._dispatch.serve_host(host))
        await self._store.submit(unit)
        return done

    def _host(self, name: str) -> str:
        """The host with this name, or that of the worker with this id."""
        worker = self._dispatch.workers.get(name)
        if worker is not None and worker.hostname:
            return worker.hostname
        known = {one.hostname for one in self._dispatch.workers} | {host.name for host in self._hosts.quarantined()}
        if name and name in known:
            return name
        raise UnknownPath(f"No worker or host is called {name}.", "`cpcc workers` lists those that have been heard of lately.")

    def _row(self, host: HostRecord) -> m.QuarantineRow:
        workers = [one.name for one in self._dispatch.workers if one.hostname == host.name and not one.is_lost]
        return m.QuarantineRow(host.name, host.why, host.quarantined_at or 0.0, host.who, sorted(workers))
