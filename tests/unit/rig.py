"""A rig for the engine: performs its effects with plain Python functions, one at a time, in an order that a test chooses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.unit.told import Told

from copernicus.dataflow import engine, transaction
from copernicus.dataflow.calls import ControllerAnswer, ControllerCall
from copernicus.dataflow.edits import find_place
from copernicus.dataflow.network import Network
from copernicus.dataflow.paths import parse_path
from copernicus.dataflow.status import is_stale
from copernicus.dataflow.views import read
from copernicus.model import edits as e
from copernicus.model.functions import Field, FunctionSchema, InnerConnection, InnerInstance, ModuleSchema
from copernicus.model.jobs import JobDescription

AB = (Field("a", "float"), Field("b", "float"))


def _lift(fields: tuple[Field, ...]) -> tuple[Field, ...]:
    return tuple(Field(field.name, f"{field.kind.required}[]") for field in fields)


ADD = FunctionSchema("t::add", "pure", AB, (Field("c", "float"),))
MUL = FunctionSchema("t::mul", "pure", AB, (Field("c", "float"),))
WORK = FunctionSchema("t::work", "command", (Field("x", "int"), Field("y", "int", default=0)), (Field("z", "int"),))
WORKS = FunctionSchema("t::works", "scatter", _lift(WORK.inputs), _lift(WORK.outputs), base="t::work")
ADDMUL = FunctionSchema(
    "t::addmul",
    "network",
    (*AB, Field("c", "float")),
    (Field("q", "float"),),
    instances=(InnerInstance("add", "t::add"), InnerInstance("mul", "t::mul")),
    connections=(
        InnerConnection("self:in.a", "add:in.a"),
        InnerConnection("self:in.b", "add:in.b"),
        InnerConnection("add:out.c", "mul:in.a"),
        InnerConnection("self:in.c", "mul:in.b"),
        InnerConnection("mul:out.c", "self:out.q"),
    ),
)
TWO = FunctionSchema(
    "t::two",
    "network",
    (Field("x", "int"),),
    (Field("z", "int"),),
    instances=(InnerInstance("one", "t::work"), InnerInstance("two", "t::work", {"y": 1})),
    connections=(
        InnerConnection("self:in.x", "one:in.x"),
        InnerConnection("one:out.z", "two:in.x"),
        InnerConnection("two:out.z", "self:out.z"),
    ),
)
STEER = FunctionSchema(
    "t::steer",
    "controller",
    (Field("n", "int"), Field("x", "int")),
    (Field("results", "int[]"), Field("total", "int?")),
    state=(Field("calls", "int?"),),
)
MODULE = ModuleSchema("t", functions=(ADD, MUL, WORK, WORKS, ADDMUL, TWO, STEER))
PURE: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "t::add": lambda v: {"c": v["a"] + v["b"]},
    "t::mul": lambda v: {"c": v["a"] * v["b"]},
}


class Rig:
    """A network, and whoever performs its effects. Effects wait in `todo` and jobs in `jobs` until a test performs them."""

    def __init__(self, module: ModuleSchema = MODULE) -> None:
        self.catalog = transaction.Catalog([module])
        self.network = Network()
        self.log: list[bytes] = []
        self.todo: list[transaction.Effect] = []
        self.jobs: dict[str, dict[str, Any]] = {}
        self.calls: list[ControllerCall] = []
        self.told = Told()
        self.controllers: dict[str, Callable[[ControllerCall], ControllerAnswer]] = {"t::steer": steer}

    def step(self, event: engine.Event) -> engine.Outcome:
        outcome = engine.step(self.network, self.catalog, event, now=0.0)
        if outcome.data is not None:
            self.log.append(outcome.data)
        self.todo += outcome.effects
        return outcome

    def edit(self, *edits: e.Edit) -> list[str]:
        return self.step(engine.EditsRequested(list(edits), "ada")).told

    def set(self, path: str, text: Any) -> None:
        self.edit(e.SetText(path, str(text)))

    def get(self, path: str) -> Any:
        return read(self.network, find_place(self.network, parse_path(path), path))

    def is_stale(self, path: str) -> bool:
        return is_stale(self.network, find_place(self.network, parse_path(path), path))

    def perform(self) -> None:
        """Perform all effects but jobs, and what follows from them."""
        while self.todo:
            self.perform_one(self.todo.pop(0))

    def perform_one(self, effect: transaction.Effect) -> None:
        match effect:
            case transaction.DescribeJob():
                description = JobDescription("t/work", (str(effect.inputs["x"]), str(effect.inputs.get("y", 0))))
                self.step(engine.JobDescribed(effect.id, effect.seen, description))
            case transaction.EvaluatePure():
                self.step(engine.PureEvaluated(effect.key, PURE[effect.function](effect.inputs)))
            case transaction.StartCall():
                call = self.told.hear(effect.call)
                self.calls.append(call)
                answer = self.told.said(call, self.controllers[call.function](call))
                self.step(engine.CallEnded(call.instance, call.seen, answer))
            case transaction.WantJob():
                state = "blocked" if effect.why_blocked else "queued"
                self.jobs.setdefault(effect.key, {"runs": 0}).update(
                    state=state, path=effect.path, argv=effect.description.argv, why=effect.why_blocked
                )
            case transaction.RenameJob():
                self.jobs[effect.key]["path"] = effect.path
            case transaction.BlockJob():
                if self.jobs[effect.key]["state"] in ("queued", "blocked"):
                    self.jobs[effect.key].update(state="blocked" if effect.why else "queued", why=effect.why)
            case transaction.SupersedeJob():
                self.jobs[effect.key]["state"] = "cancelled"
            case transaction.ClearJob():
                self.jobs[effect.key]["state"] = "queued"

    def queued(self) -> list[str]:
        return sorted(job["path"] for job in self.jobs.values() if job["state"] == "queued")

    def finish(self, path: str, error: str = "") -> None:
        """End the queued job of an instance, and perform what follows."""
        key, job = next((k, j) for k, j in self.jobs.items() if j["path"] == path and j["state"] == "queued")
        job["state"], job["runs"] = ("failed" if error else "done"), job["runs"] + 1
        x, y = map(int, job["argv"])
        self.step(engine.JobEnded(key, None if error else {"z": 10 * x + y}, error))
        self.perform()

    def finish_all(self) -> None:
        self.perform()
        while self.queued():
            self.finish(self.queued()[0])

    def restart(self) -> None:
        """Crash: everything but the log and the job book is lost."""
        self.network, self.todo = Network(), []
        for data in self.log:
            engine.fold(self.network, data)
        self.step(engine.Resumed())


def steer(call: ControllerCall) -> ControllerAnswer:
    """Keeps `n` children working and adds their results up."""
    from copernicus.dataflow.calls import ChildHold, ChildStart

    results = list(call.outputs.get("results", []))
    results += [child.outputs["z"] for child in call.children if child.has_ended]
    names = [child.name for child in call.children]
    wanted = [f"job_{i}" for i in range(call.inputs["n"])]
    return ControllerAnswer(
        outputs={"results": results, "total": sum(results)},
        state={"calls": call.state.get("calls", 0) + 1},
        starts=[ChildStart(name, "t::two", {"x": call.inputs["x"] + i}) for i, name in enumerate(wanted)],
        holds=[ChildHold(name, "n is smaller") for name in names if name not in wanted],
        resumes=[name for name in wanted if name in names],
        note=f"{len(results)} results",
    )
