"""The nouns of a network: places, instances, evaluations."""

from __future__ import annotations

from typing import Any, NamedTuple

from copernicus.dataflow.paths import Member
from copernicus.model.functions import FunctionSchema

ROOT = 0


class Place(NamedTuple):
    """A place in the network: instance id, side, members."""

    instance: int
    side: str
    path: tuple[Member, ...]


def part_of(place: Place) -> tuple[Member, int | None]:
    """The field, and (None: all of it) the element of an array in which a place lies."""
    index = place.path[1] if len(place.path) > 1 else None
    return place.path[0], index if isinstance(index, int) else None


class Instance:
    """A function used in a project. What comes from facts is stored; the last group is derived and never logged."""

    __slots__ = (
        "absent",
        "busy_children",
        "changed",
        "children",
        "core_s",
        "depth",
        "elements",
        "ended",
        "ended_error",
        "error",
        "function",
        "glimpsed",
        "has_news",
        "heard",
        "held_why",
        "id",
        "in_flight",
        "index",
        "is_busy",
        "is_followed",
        "is_held",
        "is_remade",
        "is_told",
        "key",
        "key_seen",
        "links",
        "made",
        "missing",
        "name",
        "news",
        "note",
        "parent",
        "parts",
        "readers",
        "renewed",
        "runs",
        "seen",
        "since",
        "state_bytes",
        "stood",
        "stood_at",
        "touched",
        "updated",
        "values",
        "warning",
        "width",
    )  # fmt: skip

    def __init__(self, id: int, name: str, parent: int, function: FunctionSchema, index: int | None, made: int) -> None:
        self.id, self.name, self.parent, self.function, self.index, self.made = id, name, parent, function, index, made
        self.children: dict[str, int] = {}
        self.values: dict[str, dict[str, Any]] = {"in": {}, "out": {}, "state": {}}
        self.changed: dict[str, dict[Member, int]] = {"in": {}, "out": {}, "state": {}}
        self.elements: dict[tuple[str, Member, int | None], int] = {}
        """When elements of an array changed (None: all of them), for arrays that do not always change as a whole."""
        self.links: dict[str, dict[tuple[Member, ...], Place]] = {"in": {}, "out": {}}
        self.parts: dict[tuple[str, tuple[Member, ...]], int] = {}
        """How many connected places there are inside a place."""
        self.readers: dict[tuple[str, Member], dict[Place, tuple[Member, ...]]] = {}
        self.is_held, self.held_why = False, ""
        self.width: int | None = None
        self.key, self.key_seen, self.stood, self.renewed = "", 0, "", made
        self.stood_at = 0
        """When `stood` became what it shows; the same content may have stood there before."""
        self.seen, self.runs, self.ended, self.ended_error = 0, 0, 0, ""
        self.is_followed, self.glimpsed = False, 0
        """Whether its controller wants its provisional outputs, and when there were newer ones."""
        self.has_news = False
        """Something in it was evaluated, called or failed since it last ended (only for children of controllers)."""
        self.error, self.note, self.warning = "", "", ""
        self.core_s, self.since = 0.0, 0.0
        self.touched, self.in_flight, self.is_busy, self.busy_children = made, 0, False, 0
        self.is_remade = False
        """The output of an evaluated instance does not come from its present inputs."""
        self.updated, self.heard, self.depth = 0, dict[Member, int](), 0
        """For controllers: when an output of this child changed, when each input did, how long the cascade is."""
        self.is_told, self.news = False, dict[tuple[int, Member, int | None], int]()
        """Of a controller: whether whoever answers its calls has been told all up to `seen`, and what is newer (see `news`)."""
        self.state_bytes: int | None = None
        """How long a controller's state is as JSON (None: to be found out)."""
        self.absent: tuple[Member, ...] = ()
        """The input that was last found absent: where the next look begins."""
        self.missing: str | None = None
        """The required input that is absent ("": none); None when that is to be found out."""

    @property
    def is_evaluated(self) -> bool:
        """Whether outputs follow from inputs."""
        return self.function.kind in ("command", "pure")


ORIGIN = ("core_s", "job", "attempt", "worker", "version", "hostname", "site", "program_hash", "gpu_s")
"""What is known of an evaluation's end beside its outputs, or error."""


class Evaluation:
    """What an evaluated instance does for one key.

    `state` is "open", "done", "failed" or "gone" (it was done, and the content of its results was deleted).
    """

    __slots__ = (
        "attempt", "core_s", "course", "error", "filed", "function", "gpu_s", "hostname", "instance", "job", "key", "outputs",
        "program_hash", "site", "state", "until", "version", "wanted", "why_blocked", "worker",
    )  # fmt: skip

    def __init__(
        self, key: str, instance: int, function: FunctionSchema, course: str = "", until: tuple[str, ...] = ()
    ) -> None:
        self.key, self.instance, self.function, self.state = key, instance, function, "open"
        self.course, self.until = course, until
        self.outputs: dict[str, Any] = {}
        self.error, self.core_s, self.filed = "", 0.0, 0
        self.job: int | None = None
        self.attempt, self.worker, self.version = 0, "", ""
        self.hostname, self.site, self.program_hash, self.gpu_s = "", "", "", 0.0
        self.wanted: set[int] = set()
        self.why_blocked: str | None = None
        """What the job book was last told (None: not known). Derived."""
