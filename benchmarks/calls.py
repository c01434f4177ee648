"""What one child's end costs the controller around it, by how many children there are: `python -m benchmarks.calls [N …]`.

Engine, lines, and the process that runs the controller, all in this process; what lies between (pipes, event loop, disk) costs
the same however many children there are.
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass, field

import msgspec

from copernicus.dataflow import engine, transaction
from copernicus.dataflow.calls import ControllerAnswer, ControllerCall
from copernicus.dataflow.network import Network
from copernicus.model import edits as e
from copernicus.plugin.evaluation import describe, evaluate
from copernicus.plugin.functions import Call, File, Job, Module, file
from copernicus.plugin.lines import MEMORY_LIMIT_BYTES, Reply, Request
from copernicus.plugin.memory import Memories

SIZES = (10, 100, 1_000, 10_000)
module = Module("gathering")


@dataclass
class Simulated:
    xtc: File


@dataclass
class Gathered:
    trajectories: list[File] = field(default_factory=list)


@dataclass
class Progress:
    ended: int = 0


@module.command
def simulate(number: int) -> Job[Simulated]:
    """One simulation."""
    return Job("x/simulate", [number], Simulated(file("out.xtc")))


@module.controller
def gather(call: Call[Gathered, Progress], *, n: int) -> None:
    """Runs n simulations and gathers what they give."""
    if not call.state.ended and "n" in call.changed:
        for number in range(n):
            call.start(f"sim_{number}", simulate, number)
    for child in call.ended(simulate):
        call.out.trajectories.append(child.out.xtc)
        call.state.ended += 1
    call.note(f"{call.state.ended} of {n}")


class Project:
    """One project, and the process that answers its calls, in this process: lines are encoded and decoded as over a pipe."""

    def __init__(self, n: int) -> None:
        self.network, self.catalog = Network(), transaction.Catalog([module.schema()])
        self.functions = {function.name: function for function in module.functions.values()}
        self.jobs: list[str] = []
        self.memories = Memories(MEMORY_LIMIT_BYTES)
        self.spent_s = dict.fromkeys(("engine", "lines", "process"), 0.0)
        self.sent_bytes = 0
        self._requests, self._replies = msgspec.json.Decoder(Request), msgspec.json.Decoder(Reply)
        edits: list[e.Edit] = [e.MakeInstance("gathering::gather", "g"), e.SetValue("g:in.n", n), e.Activate("g")]
        self.step(engine.EditsRequested(edits, "ada"))

    def step(self, event: engine.Event) -> None:
        """Let an event happen, with all that follows from it."""
        began_s = time.process_time()
        effects = engine.step(self.network, self.catalog, event, 0.0).effects
        self.spent_s["engine"] += time.process_time() - began_s
        for effect in effects:
            self._perform(effect)

    def _perform(self, effect: transaction.Effect) -> None:
        match effect:
            case transaction.DescribeJob():
                self.step(engine.JobDescribed(effect.id, effect.seen, describe(simulate, effect.inputs)))
            case transaction.WantJob():
                self.jobs.append(effect.key)
            case transaction.StartCall():
                self.step(engine.CallEnded(effect.call.instance, effect.call.seen, self._ask(effect.call)))

    def _ask(self, call: ControllerCall) -> ControllerAnswer:
        began_s = time.process_time()
        line = msgspec.json.encode(Request(1, call))
        request = self._requests.decode(line)
        asked_s = time.process_time()
        assert request.call is not None
        answer = evaluate(self.functions, request.call, self.memories, len(line))
        answered_s = time.process_time()
        back = msgspec.json.encode(Reply(1, answer))
        reply = self._replies.decode(back)
        ended_s = time.process_time()
        self.spent_s["process"] += answered_s - asked_s
        self.spent_s["lines"] += ended_s - began_s - (answered_s - asked_s)
        self.sent_bytes += len(line) + len(back)
        assert isinstance(reply.answer, ControllerAnswer)
        return reply.answer

    def end_one(self, number: int) -> None:
        """One child ends."""
        outputs = {"xtc": {"blob": f"{number:064x}", "size": 1_000_000, "name": "out.xtc"}}
        self.step(engine.JobEnded(self.jobs[number], outputs, core_s=1.0))


def measure(n: int, tries: int = 200) -> dict[str, float]:
    """Return what the last of `n` children's ends cost, in ms each, and the bytes of the lines, both ways together."""
    project = Project(n)
    first = max(0, n - tries)
    for number in range(first):
        project.end_one(number)
    project.spent_s, project.sent_bytes = dict.fromkeys(project.spent_s, 0.0), 0
    for number in range(first, n):
        project.end_one(number)
    figures = {name: 1000 * spent_s / (n - first) for name, spent_s in project.spent_s.items()}
    return {"ms": sum(figures.values()), **figures, "bytes": project.sent_bytes / (n - first)}


def main() -> None:
    """Print the curve."""
    print("children   ms/end   engine    lines  process   bytes")
    for n in [int(argument) for argument in sys.argv[1:]] or SIZES:
        figures = measure(n)
        times = "  ".join(f"{figures[name]:7.3f}" for name in ("ms", "engine", "lines", "process"))
        print(f"{n:8}  {times}  {figures['bytes']:6.0f}", flush=True)


if __name__ == "__main__":
    main()
