"""A transaction in the making: facts done so far, places that changed, instances to look at, effects to come."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from typing import Any

import msgspec

from copernicus.dataflow import facts as f, tree
from copernicus.dataflow.calls import ControllerCall, Converted
from copernicus.dataflow.instances import part_of
from copernicus.dataflow.network import ROOT, Instance, Network, Place
from copernicus.dataflow.views import length_of, readers_of
from copernicus.errors import ModuleError, UnknownPath
from copernicus.model.functions import FunctionSchema, ModuleSchema
from copernicus.model.jobs import JobDescription


class DescribeJob(msgspec.Struct, frozen=True):
    """Ask a command's function for its job; answer with `JobDescribed` and the same `seen`."""

    id: int
    function: str
    inputs: dict[str, Any]
    seen: int


class EvaluatePure(msgspec.Struct, frozen=True):
    """Ask a pure function for its outputs; answer with `PureEvaluated`."""

    key: str
    function: str
    inputs: dict[str, Any]


class StartCall(msgspec.Struct, frozen=True):
    """Call a controller; answer with `CallEnded`."""

    call: ControllerCall


class WantJob(msgspec.Struct, frozen=True):
    """See to it that the job of an evaluation is done; a job that stands takes over priority and resources.

    A new job goes on from the last checkpoint of a job of one of the keys in `extends`, of the first that has one. `needs`
    is the instance that makes an input of it anew, 0: none does, or another reason blocks it.
    """

    key: str
    id: int
    path: str
    description: JobDescription
    why_blocked: str
    extends: tuple[str, ...] = ()
    needs: int = 0


class RenameJob(msgspec.Struct, frozen=True):
    """The job of an instance that has another path now."""

    key: str
    id: int
    path: str


class BlockJob(msgspec.Struct, frozen=True):
    """The job must not be started, and why ("": it may). `needs` is as in `WantJob`."""

    key: str
    why: str
    needs: int = 0


class StopJob(msgspec.Struct, frozen=True):
    """The job must not run now: an attempt that is under way is to stop, with a checkpoint."""

    key: str


class SupersedeJob(msgspec.Struct, frozen=True):
    """Nobody wants this job any more."""

    key: str


class ClearJob(msgspec.Struct, frozen=True):
    """A failed job gets a fresh budget of attempts."""

    key: str


Effect = DescribeJob | EvaluatePure | StartCall | WantJob | RenameJob | BlockJob | StopJob | SupersedeJob | ClearJob


class Catalog:
    """The modules that are installed, by name."""

    def __init__(self, modules: list[ModuleSchema]) -> None:
        self.modules = {module.name: module for module in modules}
        self.functions = {function.name: function for module in modules for function in module.functions}

    def module(self, name: str) -> ModuleSchema:
        """Return a module that can be used; `UnknownPath` or `ModuleError` otherwise."""
        module = self.modules.get(name)
        if module is None:
            raise UnknownPath(f"There is no module {name!r}.", f"There are: {', '.join(sorted(self.modules)) or 'none'}.")
        if module.error:
            raise ModuleError(f"The module {name!r} cannot be used: {module.error}")
        return module

    def function(self, name: str) -> FunctionSchema:
        """Return a function by its full name."""
        schema = self.functions.get(name)
        if schema is None:
            module = self.module(name.partition("::")[0])
            names = ", ".join(function.name.partition("::")[2] for function in module.functions)
            raise UnknownPath(f"The module {module.name!r} has no function {name.partition('::')[2]!r}.", f"It has: {names}.")
        return schema


class Transaction:
    """What one step does to a network. Only `do` changes stored state, so that `roll_back` can take all of it back."""

    def __init__(self, network: Network, catalog: Catalog, now: float) -> None:
        self.network, self.catalog, self.now = network, catalog, now
        self.seq = network.seq + 1
        self.facts: list[f.Fact] = []
        self.changed: list[Place] = []
        self.conversions: dict[int, Converted] = {}
        """What module code made of the values of instances that are to be upgraded."""
        self.to_consider = OrderedDict[int, None]()
        # Taken from its front: a plain dict would be searched from its beginning each time.
        self.dirty: dict[int, None] = {}
        """Instances whose inputs changed in this step since they were last looked at."""
        self.to_recheck: dict[int, None] = {}
        """Instances whose outputs may have become stale or no longer are, or whose jobs may have to wait."""
        self.depth = 0
        """How many controllers' calls led to this step, with no job's end and no user's edit among them."""
        self.wants: dict[str, tuple[Instance, JobDescription]] = {}
        """Jobs that are wanted, by key, and for whom."""
        self.to_stop: dict[int, None] = {}
        """Instances whose jobs, if they run, are to stop when nobody else who wants them may work."""
        self.to_ask: dict[int, None] = {}
        """Commands and controllers to be asked once the step has come to rest."""
        self.effects: list[Effect] = []
        network.journal = []

    def do(self, fact: f.Fact) -> None:
        """Store a fact, as part of this transaction."""
        stored = fact
        if isinstance(fact, f.Wrote) and isinstance(fact.value, list | dict):
            # What the network holds changes with later writes of the same transaction; what the log says must not.
            stored = msgspec.structs.replace(fact, value=tree.copied(fact.value))
        self.network.do(stored, self.seq, self.now)
        self.facts.append(fact)

    def mark(self) -> tuple[int, int, int, int, int]:
        """A point to which `roll_back` can return."""
        assert self.network.journal is not None
        return len(self.network.journal), len(self.facts), len(self.changed), len(self.effects), len(self.dirty)

    def roll_back(self, mark: tuple[int, int, int, int, int]) -> None:
        """Take back everything since `mark`. Only for the part before consequences are followed."""
        self.network.roll_back(mark[0])
        del self.facts[mark[1] :]
        del self.changed[mark[2] :]
        del self.effects[mark[3] :]
        while len(self.dirty) > mark[4]:
            self.dirty.popitem()
        self.to_consider = OrderedDict((id, None) for id in self.to_consider if id in self.network.instances)

    @property
    def seen(self) -> int:
        """The newest sequence number that is in the network now."""
        return self.seq if self.facts else self.network.seq

    def consider(self, instance: Instance) -> None:
        """Look at this instance again before the step ends."""
        self.to_consider[instance.id] = None

    def touch(self, instance: Instance, is_input: bool = True) -> None:
        """Something that this instance reads has changed now: an input, or of a controller what a child shows."""
        self.network.derive(instance, "touched", self.seq)
        if is_input:
            self.network.derive(instance, "missing", None)
        self.network.derive(instance, "depth", max(instance.depth, self.depth))
        self.dirty[instance.id] = None
        self.to_consider[instance.id] = None
        if instance.is_evaluated:
            self.to_recheck[instance.id] = None

    def follow(self) -> None:
        """Follow connections from every place that changed to all that read it, as they are connected now."""
        network, seen = self.network, set[Place]()
        while self.changed:
            place = self.changed.pop()
            if place in seen or place.instance not in network.instances:
                continue
            seen.add(place)
            instance = network.instances[place.instance]
            if place.side == "in":
                if instance.function.kind == "controller":
                    network.hear(instance, place, self.seq)
                if instance.function.kind != "network":
                    self.touch(instance)
            elif place.side == "out":
                around = network.instances[instance.parent] if instance.id != ROOT else None
                if around is not None and around.function.kind == "controller":
                    network.derive(instance, "updated", self.seq)
                    network.note(around, instance.id, *part_of(place))
                    self.touch(around, is_input=False)
            self.changed.extend(readers_of(network, place))

    def recheck(self, ids: Iterable[int]) -> None:
        """See at the end of the step whether the jobs of these instances must wait, and whether their outputs are stale."""
        self.to_recheck.update(dict.fromkeys(ids))

    def write(self, place: Place, value: Any) -> None:
        """Write a value (None: unset) where it differs from what stands there; equal content is no change."""
        own = tree.read(self.network.instances[place.instance].values[place.side], place.path)
        if isinstance(own, list) and isinstance(value, list) and len(value) < len(own):
            self.shorten(place, len(value))
        for path, new in tree.difference(place.path, own, value):
            self.will_change(Place(place.instance, place.side, path))
            self.do(f.Wrote(place.instance, place.side, path, new))

    def shorten(self, place: Place, length: int) -> None:
        """Shorten an array. Below two elements it is another thing for every reader."""
        removed = range(length, length_of(self.network, place) or 0)
        self.changed += [place] if length <= 1 else [Place(*place[:2], (*place.path, index)) for index in removed]
        self.do(f.Shortened(*place, length))

    def will_change(self, place: Place) -> None:
        """Remember that a place changes now. An array that gets a second element is another thing for every reader."""
        self.changed.append(place)
        for depth, member in enumerate(place.path):
            if isinstance(member, int) and member > 0:
                array = Place(place.instance, place.side, place.path[:depth])
                if (length_of(self.network, array) or 0) <= 1:
                    self.changed.append(array)
