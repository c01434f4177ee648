"""The engine beside the reference model: what timing decided is taken over, all else must agree."""

from __future__ import annotations

import json
from operator import attrgetter
from typing import TYPE_CHECKING, Any

import msgspec
from tests.unit.functions import RUN, UNLUCKY
from tests.unit.reference_model import Reference
from tests.unit.reference_state import At

from copernicus.dataflow.instances import ROOT, Evaluation, Instance, Place
from copernicus.dataflow.network import Network
from copernicus.dataflow.status import is_pending, is_stale
from copernicus.dataflow.views import read

if TYPE_CHECKING:
    from tests.unit.witness import Witness

FOUND = {"absent", "missing"}
DERIVED = ("touched", "in_flight", "is_busy", "busy_children", "is_remade", "updated", "heard", "depth", "why_blocked",
           "is_told", "news", "state_bytes")  # fmt: skip
NAMES = ("undos", "seq", "head", "next_id", "imported", "functions", "strikes", "courses")
STORED = {
    kind: tuple(name for name in kind.__slots__ if name not in {*FOUND, *DERIVED, "values", "outputs", "function"})
    for kind in (Instance, Evaluation)
}
_instance_slots, _evaluation_slots = attrgetter(*STORED[Instance]), attrgetter(*STORED[Evaluation])
_instance_derived = attrgetter(*[name for name in DERIVED if name not in ("heard", "news", "why_blocked")])
_encode = msgspec.json.Encoder(order="deterministic").encode


def state(network: Network) -> dict[str, Any]:
    """A copy of all that a network holds. (Where a search for what is absent begins is nothing it holds.)"""
    left_out = {*FOUND, *DERIVED}

    def slots(one: Instance | Evaluation) -> dict[str, Any]:
        found = {name: _copy(getattr(one, name)) for name in one.__slots__ if name not in left_out}
        if isinstance(one, Instance):
            found["children"] = list(one.children.items())
        return found

    held = {name: _copy(getattr(network, name)) for name in NAMES}
    held["instances"] = {id: slots(one) for id, one in network.instances.items()}
    return held | {"evaluations": {key: slots(one) for key, one in network.evaluations.items()}}


def _copy(value: Any) -> Any:
    kind = type(value)
    if kind is dict:
        return {key: _copy(item) for key, item in value.items()}
    return [_copy(item) for item in value] if kind is list else set(value) if kind is set else value


def dump(network: Network) -> bytes:
    """All that a network stores, in one canonical form, byte for byte."""

    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return [[repr(key), plain(item)] for key, item in sorted(value.items(), key=lambda pair: repr(pair[0]))]
        if isinstance(value, set):
            return sorted(value)
        if isinstance(value, tuple | list):
            return [plain(item) for item in value]
        return value if value is None or isinstance(value, bool | int | float | str) else repr(value)

    return msgspec.json.encode(plain(state(network)))


def differ(one: Network, other: Network) -> str:
    """Where two networks differ in what they store, to the last bit; "" when they do not."""
    for name in NAMES:
        if getattr(one, name) != getattr(other, name):
            return name
    if one.instances.keys() != other.instances.keys() or one.evaluations.keys() != other.evaluations.keys():
        return "what there is"
    for id, instance in one.instances.items():
        twin = other.instances[id]
        if _instance_slots(instance) != _instance_slots(twin) or list(instance.children) != list(twin.children):
            return f"{one.path_of(id)}: {[name for name in STORED[Instance] if getattr(instance, name) != getattr(twin, name)]}"
        if instance.function != twin.function or _encode(instance.values) != _encode(twin.values):
            return f"{one.path_of(id)}: values"
    for key, evaluation in one.evaluations.items():
        its_twin = other.evaluations[key]
        if _evaluation_slots(evaluation) != _evaluation_slots(its_twin) or _encode(evaluation.outputs) != _encode(
            its_twin.outputs
        ):
            return f"evaluation {key}"
    return ""


def derived(network: Network) -> tuple[dict[Any, Any], ...]:
    """A copy of all that a network derives from what it stores."""
    found = {id: (_instance_derived(one), dict(one.heard), dict(one.news)) for id, one in network.instances.items()}
    return found, {key: one.why_blocked for key, one in network.evaluations.items()}, dict(network.depths)


def observe(witness: Witness) -> None:
    """Take over which questions were answered in this step; see that it was allowed, and draw the conclusions."""
    reference, network = witness.reference, witness.network
    paths = {network.path_of(id): one for id, one in network.instances.items() if id != ROOT}
    for path in sorted(paths.keys() - reference.made.keys(), key=len):
        index = paths[path].index
        if path not in reference.made and index is not None and index >= (network.instances[paths[path].parent].width or 0):
            # In passing: in the middle of a step an array was longer than at its end, so the index was made and retired.
            reference.make(path, paths[path].function.name, index=index)
    assert paths.keys() == reference.made.keys(), f"instances: {paths.keys() ^ reference.made.keys()}"
    taken: list[str] = []
    for path, instance in paths.items():
        one = reference.made[path]
        one.is_pending = is_pending(network, instance)
        if instance.error and (not one.error or one.failed_at < instance.key_seen):
            assert "not settle" in instance.error or reference.inputs(path)[0].get("x") == UNLUCKY, (path, instance.error)
            reference.tell_around(path)
        one.error, one.failed_at = instance.error, instance.key_seen
        if instance.is_evaluated and instance.key != one.present:
            one.present = ""
            if instance.key:
                reference.tell_around(path)
                reference.retry(instance.key)
                taken.append(path)
            else:
                assert reference.is_away(path) or not reference.inputs(path)[1], f"{path} wants nothing any more"
            one.present = instance.key
    _stand(witness, paths)
    for path in taken:
        one = reference.made[path]
        function, asked = witness.asked[one.present]
        witness.happened["an earlier result stood again"] += one.present in reference.results
        witness.happened["an evaluation was joined"] += len(reference.wanting(one.present)) > 1
        assert function == one.function.name
        assert reference.inputs(path) == (asked, True), f"{path} took a key for other inputs: {asked}"
        assert not reference.is_held(path), f"{path} took a key while it was held"
        assert one.present not in reference.struck, f"{path} took what was struck out"
        one.struck = ""
        one.had.append(one.present)
        # Equal inputs mean the same evaluation: of the instance, or of all where the function says so.
        is_shared = one.function.kind == "pure" or one.function.is_deterministic
        whose = (function, "" if is_shared else str(paths[path].id), json.dumps(asked, sort_keys=True))
        before = witness.keys.setdefault(whose, one.present)
        assert one.present == before or before in reference.struck, f"{path} did not come back to what it had"
        witness.keys[whose] = one.present
    _end(witness, paths)


def _stand(witness: Witness, paths: dict[str, Instance]) -> None:
    reference = witness.reference
    for path in reference.evaluated():
        one, instance = reference.made[path], paths[path]
        is_done = reference.results.get(one.present, ("", None))[0] == "done"
        must = is_done and not reference.is_held(path) and (one.function.kind == "command" or not one.is_pending)
        if must:
            one.stood = one.present
        elif one.function.kind == "pure" and instance.stood != one.stood:
            # In passing: inputs that changed one after the other in one step, each combination known from before.
            assert reference.results[instance.stood][0] == "done"
            one.stood = instance.stood
        assert instance.stood == one.stood, f"{path} shows the result of another key"


def _end(witness: Witness, paths: dict[str, Instance]) -> None:
    reference = witness.reference
    for path in sorted(reference.made, key=lambda path: -path.count(":")):
        one = reference.made[path]
        if one.has_news and not reference.is_busy(path) and not reference.is_held(path):
            one.has_news, one.ended, one.runs = False, witness.clock, one.runs + 1
            present = [below for below in reference.below(path) if not reference.is_away(below)]
            one.ended_error = any(reference.error(below) for below in present)
        assert paths[path].runs == one.runs, f"{path} ended {paths[path].runs} times, not {one.runs}"
        assert bool(paths[path].ended_error) == one.ended_error


def compare(witness: Witness) -> None:
    """Everything that can be seen agrees, and all that must be true is."""
    reference, network = witness.reference, witness.network
    with reference.at_rest():
        for path, side, members in reference.places():
            place = Place(_id(network, path), side, members)
            assert read(network, place) == reference.show(path, side, members), f"{path}:{side}.{members}"
            if side == "out":
                assert is_stale(network, place) == reference.is_stale(path, side, members), f"{path}:{side}.{members} is stale?"
        for path in reference.made:
            _compare_instance(witness, path, network.instances[_id(network, path)])
        _compare_jobs(witness)
        _compare_writers(reference)


def _id(network: Network, path: str) -> int:
    instance = network.instances[ROOT]
    for name in path.split(":"):
        instance = network.instances[instance.children[name]]
    return instance.id


def _compare_instance(witness: Witness, path: str, instance: Instance) -> None:
    reference, network = witness.reference, witness.network
    one = reference.made[path]
    assert instance.touched <= network.seq
    assert instance.width == one.width
    assert instance.is_busy == reference.is_busy(path), f"{path} is busy?"
    busy = [child for child in network.children(instance) if child.is_busy]
    assert instance.busy_children == len(busy)
    inputs, is_complete = reference.inputs(path)
    is_outdated = one.function.name in reference.outdated
    if reference.is_held(path) or not is_complete or one.asked is not None or one.error or is_outdated:
        if one.present and not one.is_pending and not one.error:
            assert inputs == witness.asked[one.present][1], f"{path} has not noticed that its inputs changed"
        return
    if instance.is_evaluated:
        assert not one.is_pending, f"{path} was forgotten"
        assert one.present, f"{path} does nothing"
        assert one.present != one.struck, f"{path} is not made anew"
        assert inputs == witness.asked[one.present][1], f"{path} works on other inputs"
        if one.function.kind == "pure" and reference.is_open(path):
            assert any(getattr(effect, "key", "") == one.present for effect in witness.todo), f"{path} is not evaluated"
    elif one.function.kind == "controller":
        assert one.knew, f"{path} was never called"
        seen = reference.sight(path)
        for name in set(one.knew["at work"]) - set(seen.pop("at work")):
            child = f"{path}:{name}"
            assert child not in reference.made or reference.is_held(child), f"{path} believes that {name} is at work"
        for name, value in seen.items():
            assert one.knew.get(name, value) == value, f"{path} does not know of {name}"
        for name in reference.children(path):
            assert reference.made[name].ended <= one.told, f"{path} was not told that {name} ended"


def _compare_jobs(witness: Witness) -> None:
    reference = witness.reference
    for key, job in witness.jobs.items():
        ended = reference.results.get(key)
        if ended is not None:
            assert job["state"] == ("done" if ended[0] == "done" else "failed")
        elif not reference.wanting(key):
            assert job["state"] == "cancelled" or (job["state"] == "leased" and job["is_superseded"]), f"nobody wants {job}"
        else:
            assert not job["is_superseded"], f"{job} was given up"
            is_shared = reference.functions[witness.asked[key][0]].is_deterministic
            assert is_shared or [job["path"]] == reference.wanting(key), f"{job} is not called as its instance"
            if job["state"] != "leased":
                state = "blocked" if reference.must_wait(key) else "queued"
                assert job["state"] == state, f"{job} should be {state}"
    for path in reference.evaluated():
        if reference.is_open(path) and reference.is_kind(path, "command"):
            assert reference.made[path].present in witness.jobs


def _compare_writers(reference: Reference) -> None:
    links: list[At] = list(reference.links)
    for one in links:
        for other in links:
            shorter = min(len(one[2]), len(other[2]))
            assert one == other or one[:2] != other[:2] or one[2][:shorter] != other[2][:shorter], "two writers"
    for path in reference.evaluated():
        for field in reference.made[path].function.inputs:
            assert not reference.depends(path, "in", (field.name,), path, set()), f"{path} is in a circle"


def earlier(witness: Witness, path: str, key: str) -> list[str]:
    """The keys from which a job may go on: the instance's own, for equal inputs but for a shorter length, not struck."""
    function, inputs = witness.asked[key]
    if "n" not in inputs or function != RUN.name:
        return []
    lengths: dict[str, int] = {}
    for one in witness.reference.made[path].had:
        _, others = witness.asked[one.removeprefix("!")]
        if others | {"n": 0} == inputs | {"n": 0}:
            lengths = {} if one.startswith("!") else lengths | {one: others["n"]}
    return sorted((one for one in lengths if one != key and lengths[one] <= inputs["n"]), key=lambda one: -lengths[one])
