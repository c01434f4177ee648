"""Content that goes while its record stays: results whose files are deleted, versions that a user gives up; a project held."""

from __future__ import annotations

from collections.abc import Iterable

from copernicus.dataflow import facts as f, tree
from copernicus.dataflow.answers import look_again_below
from copernicus.dataflow.network import ROOT, Evaluation, Network, Place
from copernicus.dataflow.transaction import Transaction
from copernicus.model.values import files_in


def shown_keys(network: Network) -> set[str]:
    """The keys whose results are the outputs of some instance now."""
    return {instance.stood for instance in network.instances.values() if instance.stood}


def is_superseded(evaluation: Evaluation, shown: set[str]) -> bool:
    """Whether a finished evaluation is nobody's: its key is no instance's present one, and its result nobody's output."""
    return evaluation.state == "done" and not evaluation.wanted and evaluation.key not in shown


def discard(tx: Transaction, keys: Iterable[str]) -> None:
    """Forget the results of those evaluations among `keys` that are nobody's; the others stand as they are."""
    network, shown = tx.network, shown_keys(tx.network)
    for key in keys:
        evaluation = network.evaluations.get(key)
        if evaluation is not None and is_superseded(evaluation, shown):
            tx.do(f.Discarded(key))


def purge(tx: Transaction, instance: int, place: Place | None) -> None:
    """Give up what stood before at a place, or (without) anywhere at an instance and below, and has been replaced."""
    network, shown = tx.network, shown_keys(tx.network)
    below = list(network.subtree(network.instances[instance]))
    for one in below if place is None or place.side == "in" else ():
        path = place.path if place is not None else ()
        keeps = {file.blob for file in files_in(tree.read(one.values["in"], path))}
        tx.do(f.Purged(one.id, "in", path, network.seq, tuple(sorted(keeps))))
        if place is not None:
            return
    below = below if place is None else below[:1]
    ids = {one.id for one in below}
    for evaluation in list(network.evaluations.values()):
        if evaluation.instance in ids and is_superseded(evaluation, shown):
            tx.do(f.Discarded(evaluation.key))


def hold_all(tx: Transaction) -> None:
    """Hold every instance at the top."""
    for one in list(tx.network.children(tx.network.instances[ROOT])):
        if not one.is_held:
            tx.do(f.Held(one.id, True))
        look_again_below(tx, one)
