"""The engine's one door: `step(network, catalog, event, now)` gives the record to keep and the effects to perform."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from blake3 import blake3

from copernicus.dataflow import facts as f
from copernicus.dataflow.calls import ControllerAnswer, Converted
from copernicus.dataflow.controlling import call_ended, call_forgotten, glimpse
from copernicus.dataflow.discarding import discard, hold_all, purge
from copernicus.dataflow.edits import apply_edit
from copernicus.dataflow.evaluating import described, file_result
from copernicus.dataflow.instances import ORIGIN
from copernicus.dataflow.network import ROOT, Instance, Network, Place
from copernicus.dataflow.restoring import take_back
from copernicus.dataflow.settling import refresh_busy, settle
from copernicus.dataflow.status import is_pending
from copernicus.dataflow.taking_back import Undoing
from copernicus.dataflow.transaction import Catalog, Effect, EvaluatePure, Transaction
from copernicus.dataflow.upgrading import adopt_installed
from copernicus.dataflow.views import inputs_of, version_of
from copernicus.errors import CopernicusError
from copernicus.model.edits import Edit
from copernicus.model.jobs import JobDescription


class EditsRequested(msgspec.Struct, frozen=True):
    """A user asks for a list of edits: all of them, or none. `spots` says where each stands in the file that they come from.

    With `is_check` nothing stays changed; `look` is called while the edits stand.
    """

    edits: list[Edit]
    actor: str
    is_check: bool = False
    spots: tuple[str, ...] = ()
    conversions: dict[int, Converted] = {}
    look: Callable[[], None] | None = None


class UndoRequested(msgspec.Struct, frozen=True):
    """A user asks for a transaction to be taken back; `undoing` has read the log up to now."""

    undoing: Undoing
    actor: str


class JobDescribed(msgspec.Struct, frozen=True):
    """A command's function has answered `DescribeJob`."""

    id: int
    seen: int
    description: JobDescription | None
    error: str = ""


class PureEvaluated(msgspec.Struct, frozen=True):
    """A pure function has answered `EvaluatePure`."""

    key: str
    outputs: dict[str, Any] | None
    error: str = ""


class CallEnded(msgspec.Struct, frozen=True):
    """A controller has answered `StartCall`."""

    id: int
    seen: int
    answer: ControllerAnswer


class CallForgotten(msgspec.Struct, frozen=True):
    """Whoever got `StartCall` does not have what the difference is to: another one, with everything, is to come."""

    id: int
    seen: int


class JobEnded(msgspec.Struct, frozen=True):
    """A job has finished (`outputs`) or failed for good (`error`)."""

    key: str
    outputs: dict[str, Any] | None
    error: str = ""
    core_s: float = 0.0
    job: int | None = None
    attempt: int = 0
    worker: str = ""
    version: str = ""
    hostname: str = ""
    site: str = ""
    program_hash: str = ""
    gpu_s: float = 0.0


class CheckpointTaken(msgspec.Struct, frozen=True):
    """The job of this key has newer provisional outputs."""

    key: str


class Resumed(msgspec.Struct, frozen=True):
    """The network was read from its log: whatever is to be done now follows from what stands there."""


class ResultsDeleted(msgspec.Struct, frozen=True):
    """Files of finished evaluations are about to be deleted, to make room."""

    keys: tuple[str, ...]


class PurgeRequested(msgspec.Struct, frozen=True):
    """A user gives up the files of earlier versions at a place (all inputs and outputs of an instance), for good."""

    place: Place | None
    instance: int
    actor: str


class ProjectLoaded(msgspec.Struct, frozen=True):
    """The log was read from an archive of `origin`; `jobs` has the numbers that its jobs get here."""

    origin: str
    jobs: tuple[tuple[int, int], ...]
    actor: str


Event = (
    EditsRequested | UndoRequested | JobDescribed | PureEvaluated | CallEnded | CallForgotten | JobEnded
    | CheckpointTaken | Resumed
    | ResultsDeleted | PurgeRequested | ProjectLoaded
)  # fmt: skip


class Outcome(msgspec.Struct):
    """What a step did. `data` is the record as it goes to the log (None: nothing changed); `told` a line for each edit;
    `refused` says why a job's outputs were not taken."""

    seq: int | None
    data: bytes | None
    effects: list[Effect]
    told: list[str]
    refused: str = ""


def step(network: Network, catalog: Catalog, event: Event, now: float) -> Outcome:
    """Let one event happen, with all that follows from it.

    Raises `CopernicusError` when an edit is refused; the network is then as it was before. Deterministic: the same network
    and event give the same outcome, but for `now`, which only decorates records.
    """
    tx = Transaction(network, catalog, now)
    try:
        if isinstance(event, EditsRequested) and event.is_check:
            told = _apply_edits(tx, event)
            if event.look is not None:
                event.look()
            network.roll_back(0)
            return Outcome(None, None, [], told)
        told, refused = happen(tx, event)
    except BaseException:
        network.roll_back(0)
        raise
    finally:
        network.journal = None
    return _close(tx, event, told, refused)


def happen(tx: Transaction, event: Event) -> tuple[list[str], str]:
    """Let an event happen within a transaction, with all that follows; return what is told, and why outputs were refused."""
    network = tx.network
    told: list[str] = []
    refused = ""
    match event:
        case EditsRequested():
            told = _apply_edits(tx, event)
        case UndoRequested():
            told = take_back(tx, event.undoing)
        case JobDescribed():
            if event.id in network.instances:
                described(tx, network.instances[event.id], event.seen, event.description, event.error)
        case PureEvaluated():
            tx.depth = network.depths.pop(event.key, 0)
            file_result(tx, event.key, event.outputs, event.error, {})
        case CallEnded():
            if event.id in network.instances:
                call_ended(tx, network.instances[event.id], event.seen, event.answer)
        case CallForgotten():
            if event.id in network.instances:
                call_forgotten(tx, network.instances[event.id], event.seen)
        case JobEnded():
            origin = {name: getattr(event, name) for name in ORIGIN}
            refused = file_result(tx, event.key, event.outputs, event.error, origin)
        case CheckpointTaken():
            glimpse(tx, event.key)
        case Resumed():
            resume(tx)
        case ResultsDeleted():
            discard(tx, event.keys)
        case PurgeRequested():
            purge(tx, event.instance, event.place)
        case ProjectLoaded():
            tx.do(f.Loaded(event.origin, event.jobs))
            hold_all(tx)
    settle(tx)
    return told, refused


def _apply_edits(tx: Transaction, event: EditsRequested) -> list[str]:
    told: list[str] = []
    tx.conversions = event.conversions
    for position, edit in enumerate(event.edits):
        try:
            told.append(apply_edit(tx, edit))
        except CopernicusError as error:
            is_asked_about = event.is_check and position == len(event.edits) - 1  # the others were checked before
            if any(event.spots[position : position + 1]):
                error.message = f"{event.spots[position]}: {error.message}"
            elif len(event.edits) > 1 and not is_asked_about:
                error.message = f"Edit {position + 1} of {len(event.edits)} is refused, so none was made: {error.message}"
            raise
    return told


def _close(tx: Transaction, event: Event, told: list[str], refused: str) -> Outcome:
    network = tx.network
    if not tx.facts:
        return Outcome(None, None, tx.effects, told, refused)
    actor: str = getattr(event, "actor", "server")
    record = f.Record(tx.seq, tx.now, actor, type(event).__name__, network.head, tuple(tx.facts))
    data = f.encode_record(record)
    network.seq, network.head = tx.seq, hash_record(data)
    return Outcome(tx.seq, data, tx.effects, told, refused)


def hash_record(data: bytes) -> str:
    """The hash by which the next record names this one."""
    return blake3(data).hexdigest(length=16)


def fold(network: Network, data: bytes) -> None:
    """Fold one record of the log into the network; `CorruptData` when it does not follow the one before."""
    network.replay(f.decode_record(data), hash_record(data))


def resume(tx: Transaction) -> None:
    """Derive what is to be done from what stands, after the log was read: nothing of it had to be remembered."""
    network = tx.network
    adopt_installed(tx)
    order = list(network.subtree(network.instances[ROOT]))
    versions: dict[Place, int] = {}
    for instance in order:
        instance.in_flight, instance.is_busy, instance.busy_children, instance.is_remade = 0, False, 0, False
        instance.is_told, instance.news = False, {}
        _derive_touched(network, instance, versions)
    for instance in reversed(order):
        if instance.id != ROOT:
            refresh_busy(network, instance)
            tx.consider(instance)
            tx.to_recheck[instance.id] = None
    for evaluation in network.evaluations.values():
        evaluation.why_blocked = None
        if (
            evaluation.state == "open"
            and evaluation.function.kind == "pure"
            and evaluation.function.name not in network.outdated
        ):
            for id in sorted(evaluation.wanted):
                instance = network.instances[id]
                if not is_pending(network, instance):
                    values, _ = inputs_of(network, instance)
                    tx.effects.append(EvaluatePure(evaluation.key, instance.function.name, values))
                    break


def _derive_touched(network: Network, instance: Instance, versions: dict[Place, int]) -> None:
    for field in instance.function.inputs:
        instance.heard[field.name] = version_of(network, Place(instance.id, "in", (field.name,)), versions)
    newest = [instance.renewed, *instance.heard.values()]
    if instance.function.kind != "controller":
        instance.heard = {}
    else:
        for child in network.children(instance):
            places = [Place(child.id, "out", (field.name,)) for field in child.function.outputs]
            child.updated = max((version_of(network, place, versions) for place in places), default=0)
            newest += [child.ended, child.updated, child.glimpsed]
    instance.touched = max(newest)
