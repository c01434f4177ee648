"""A person with a laptop: edits through the real client, which repeats a commit until it is answered; orders about jobs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from tests.proof.simulation import threads
from tests.proof.simulation.network import Network, SimulatedCaller
from tests.proof.simulation.world import Process, World

from copernicus.client.api import Client
from copernicus.client.project import Project, Transaction
from copernicus.errors import Conflict, CopernicusError, Unavailable
from copernicus.server.access.identity import Identity
from copernicus.wire import messages as m

PLACES: dict[str, Any] = {"copernicus.client.project.new_request_id": lambda: f"request-{threads.here().number()}"}
AGAIN_S = 3.0


class Person:
    """Does one thing after the other. `appended` holds what was appended, and whether that was acknowledged.

    A guest works in the project of its `host`, and waits until there is one.
    """

    def __init__(self, world: World, network: Network, name: str = "ada", host: Person | None = None) -> None:
        self.world, self.name, self._host = world, name, host
        self.process = Process(world, name)
        identity = Identity("user", "user", name, is_super=True, projects=None)
        self.caller = SimulatedCaller(network, name, identity)
        self.client = Client(cast(Any, self.caller))
        self.project = Project(self.client, "p")
        self.appended: dict[int, bool] = {}
        self.deeds: list[tuple[float, Callable[[], None]]] = []
        self.is_ready = self.is_done = False
        self.last: int | None = None

    def start(self) -> None:
        """Begin with the deeds, each at its time or when the one before is done."""
        threads.Thread(self._main, process=self.process).start()

    def _main(self) -> None:
        while self._host is not None and not self._host.is_ready:
            threads.sleep(1.0)
        if self._host is None:
            self._set_up()
        self.is_ready = True
        for at, deed in self.deeds:
            if at > self.world.now:
                threads.sleep(at - self.world.now)
            deed()
        self.is_done = True

    def _set_up(self) -> None:
        self.insist(lambda: self.caller.call(m.StartProjectRequest("p", request_id=f"start-{self.name}")))
        change = Transaction(self.project, 0)
        change.import_module("m")
        change.instance("m::works", "works")
        change.instance("m::sames", "sames")
        change.instance("m::total", "total")
        change.connect("works:out.z", "sames:in.x")
        change.connect("sames:out.z", "total:in.x")
        change.activate()
        self.insist(change.commit)

    def insist(self, action: Callable[[], Any]) -> CopernicusError | None:
        """Do it again until there is an answer; return the error that was the answer, if it was one."""
        while True:
            try:
                action()
                return None
            except Unavailable:
                threads.sleep(AGAIN_S * self.world.chance.random())
            except CopernicusError as error:
                self.world.trace(self.name, "is told:", error)
                return error

    # --- what a person does

    def append(self, value: int) -> None:
        """One more job."""
        change = Transaction(self.project, 0)
        change.set("works:in.x[+]", value)
        self.appended[value] = False
        error = self.insist(change.commit)
        while isinstance(error, Conflict):  # somebody else was faster; now that is known
            error = self.insist(change.commit)
        self.appended[value] = error is None
        self.last = change.reply.seq if change.reply is not None else None

    def replace(self, index: int, value: int) -> None:
        """A job is superseded, if that one is there."""
        change = Transaction(self.project, 10**9)
        change.set(f"works:in.x[{index}]", value)
        self.insist(change.commit)

    def set_back(self, path: str, is_active: bool) -> None:
        """An instance is held, or goes on."""
        change = Transaction(self.project, 0)
        if is_active:
            change.activate(path)
        else:
            change.deactivate(path, is_now=True)
        self.insist(change.commit)

    def force_rerun(self, index: int) -> None:
        """The work of a job is done anew."""
        change = Transaction(self.project, 0)
        change.force_rerun(f"works:work_{index}")
        self.insist(change.commit)

    def undo(self) -> None:
        """What was appended last is taken back, if nobody has written there since; and that is taken back, too."""
        seq = self.last
        for _ in range(2):
            if seq is None:
                return
            request = m.UndoRequest("p", seq, f"undo-{self.world.number()}")
            replies: list[m.UndoReply] = []
            self.insist(lambda: replies.append(self.caller.call(request)))  # noqa: B023 - called at once
            seq = replies[0].seq if replies else None

    def release(self, host: str) -> None:
        """A host is trusted again, if it was not."""
        request = m.ReleaseQuarantineRequest(host, f"release-{self.world.number()}")
        self.insist(lambda: self.caller.call(request))

    def order(self, kind: type[m.JobCommand], job: int) -> None:
        """Stop a job, give it a fresh start, declare it lost."""
        request = kind("p", job, f"order-{self.world.number()}")
        self.insist(lambda: self.caller.call(cast(Any, request)))
