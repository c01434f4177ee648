"""An instance as Python sees it: its state, what is inside, its inputs and outputs as places to go on from."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from functools import cached_property
from typing import TYPE_CHECKING, Any

from copernicus.client.place import Fields
from copernicus.client.waiting import Failed, wait
from copernicus.errors import UnknownPath
from copernicus.model import edits as e
from copernicus.wire import messages as m

if TYPE_CHECKING:
    from copernicus.client.project import Project

AT_REST = ("idle",)


class Instance:
    """One instance of a project: `project["mdrun"]`, `project["mdrun"]["mdrun_0"]`. Made by its project.

    Whatever is asked is asked of the server at that moment. `str(instance)` is its path.
    """

    def __init__(self, project: Project, path: str) -> None:
        self.project = project
        self.path = path

    def __str__(self) -> str:
        return self.path

    def __repr__(self) -> str:
        return f"<Instance {self.path} of project {self.project.name}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Instance) and (self.path, self.project) == (other.path, other.project)

    def __hash__(self) -> int:
        return hash((Instance, self.path, self.project))

    # --- looking

    @property
    def row(self) -> m.InstanceRow:
        """What `cpcc ls` says of it: function, state and why, note, warning, states of what is inside, job."""
        return self.project.list_page(self.path, limit=1).instances[0]

    @property
    def function(self) -> str:
        """The function that it is an instance of, as "module::name"."""
        return self.row.function

    @property
    def state(self) -> str:
        """Its state: "held", "error", "running", "waiting" or "idle"."""
        return self.row.state

    def why(self) -> list[str]:
        """Return why it is in its state, most important first."""
        return list(self.project.why(self.path))

    def log(self) -> list[m.LogEntry]:
        """Return what happened to it, oldest first."""
        return list(self.project.log(self.path))

    @property
    def children(self) -> list[Instance]:
        """The instances inside of it, in the order in which they were made."""
        return [Instance(self.project, row.path) for row in self.project.list(self.path).instances[1:]]

    def __getitem__(self, name: str) -> Instance:
        """Return the instance `name` inside of it ("a:b" goes two steps); raise `UnknownPath`, which says what is there."""
        return self.project[f"{self.path}:{name}"]

    def __iter__(self) -> Iterator[Instance]:
        """Go through the instances inside of it."""
        return iter(self.children)

    def __contains__(self, name: object) -> bool:
        """Say whether there is an instance `name` inside of it."""
        return isinstance(name, str) and f"{self.path}:{name}" in self.project

    # --- places

    @cached_property
    def inputs(self) -> Fields:
        """Its inputs: `instance.inputs.conf[0]`, or `instance.inputs["conf"]`."""
        return Fields(self, "in")

    @property
    def in_(self) -> Fields:
        """The same as `inputs`, as paths have it."""
        return self.inputs

    @cached_property
    def out(self) -> Fields:
        """Its outputs: `instance.out.xtc[0].download("traj.xtc")`."""
        return Fields(self, "out")

    @cached_property
    def memory(self) -> Fields:
        """What a controller remembers (its side `state`); it can be looked at, not set."""
        return Fields(self, "state")

    # --- changing

    def set(self, **values: Any) -> None:
        """Set inputs, all in one transaction: `instance.set(conf=[Path("conf.gro")], steps=500)`."""
        with self.project.transaction() as change:
            for name, value in values.items():
                change.set(str(self.inputs[name]), value)

    def activate(self) -> None:
        """Let it, and all inside of it, run."""
        self.project.activate(self.path)

    def deactivate(self, *, is_now: bool = False) -> None:
        """Hold it: nothing new starts in it; `is_now`: what runs stops, with a checkpoint."""
        self.project.deactivate(self.path, is_now=is_now)

    def clear_error(self) -> None:
        """Forget its errors and those inside; failed jobs get a fresh budget of attempts."""
        self.project.clear_error(self.path)

    def force_rerun(self) -> None:
        """Make its evaluation anew, from nothing."""
        self.project.force_rerun(self.path)

    def remove(self) -> None:
        """Remove it; what was connected to it keeps the values that it saw."""
        self.project.edit(e.RemoveInstance(self.path))

    # --- waiting

    def wait(
        self, until: str | Collection[str] | Callable[[Instance], bool] = AT_REST, timeout_s: float | None = None
    ) -> str:  # fmt: skip
        """Return its state as soon as that is (one of) `until`, or as soon as the function `until` says so.

        Without `until`: as soon as it has done all there is to do and its outputs come from its present inputs. Raises
        `Failed` when it is in error (or something in it is, and nothing there runs any more) or held, unless `until`
        asks for that; `TimedOut` after `timeout_s` seconds.
        """
        wanted = (until,) if isinstance(until, str) else until
        told = "what was asked for" if callable(wanted) else " or ".join(wanted)

        def ask() -> str | None:
            row = self.row
            is_there = wanted(self) if callable(wanted) else row.state in wanted
            if is_there and (callable(wanted) or row.state != "idle"):
                return self.state if callable(wanted) else row.state
            must_go_on(self.project, row)
            return row.state if is_there and not self._is_behind() else None

        return wait(self.project, ask, timeout_s, f"{self.path} has not become {told}")

    def _is_behind(self) -> bool:
        """Whether an output comes from earlier inputs: what feeds it is being made anew."""
        return any(place.is_stale for place in self.project.list_page(f"{self.path}:out").places)


def must_go_on(project: Project, row: m.InstanceRow) -> None:
    """Raise `Failed` when an instance with this row comes no further by itself.

    What is in error inside of a controller is the controller's own affair, as long as it is not in error itself.
    """
    if row.state == "held":
        raise Failed(f"{row.path} is held.", f"Let it run: cpcc activate {row.path}")
    errors = row.below.get("error", 0)
    said = row.why
    if row.state != "error":
        is_going = row.state == "running" or row.below.get("running")
        if not errors or is_going or _kind(project, row.function) == "controller":
            return
        said = f"{errors} inside. {_first_error(project, row.path)}".rstrip()
    raise Failed(f"{row.path} is in error: {said}", f"When it is mended: cpcc clear-error {row.path}")


def _kind(project: Project, function: str) -> str:
    schema = project.client.info(function, project.name if function.startswith("project::") else "")
    return str(getattr(schema, "kind", ""))


def _first_error(project: Project, path: str) -> str:
    """Say what is wrong with the first instance inside that is in error itself."""
    rows = [row for row in project.status().errors if row.path.startswith(f"{path}:")]
    return f"The first, {rows[0].path}: {rows[0].why}" if rows else ""


def find(project: Project, path: str) -> Instance:
    """Return the instance at `path`; raise `UnknownPath`, which says what stands there instead."""
    reply = project.list_page(path, limit=1)
    if reply.kind != "instance":
        hint = f'For a place write project.place("{path}").'
        raise UnknownPath(f"{path!r} is no instance.", hint)
    return Instance(project, reply.path)
