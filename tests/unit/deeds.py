"""What people did to a project, and undo, judged from what stood before and after each of their transactions."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.unit.foresight import Foresight
from tests.unit.reference_history import rename, renamed
from tests.unit.reference_model import One
from tests.unit.reference_tree import conform

from copernicus.dataflow import engine
from copernicus.dataflow.facts import Connected
from copernicus.dataflow.instances import ROOT
from copernicus.dataflow.network import Network
from copernicus.dataflow.taking_back import Undoing, top_of
from copernicus.errors import CopernicusError

if TYPE_CHECKING:
    from tests.unit.witness import Witness

Atoms = dict[tuple[Any, ...], Any]
GONE = "gone"


@dataclass
class Standing:
    """What is people's own: `atoms` are names, held marks, connections and leaves; `whole` all instances, for those that go."""

    atoms: Atoms
    shown: Atoms = field(default_factory=dict)
    """What connections to instances that controllers made show."""
    whole: dict[int, tuple[str, One]] = field(default_factory=dict)
    links: list[tuple[Any, Any]] = field(default_factory=list)


@dataclass
class Deed:
    """One transaction of a person."""

    before: Standing
    after: Standing
    undoes: int | None = None

    @property
    def changes(self) -> dict[tuple[Any, ...], tuple[Any, Any]]:
        """What it changed: before and after of each."""
        before, after = self.before.atoms, self.after.atoms
        keys = [key for key in {**before, **after} if before.get(key, GONE) != after.get(key, GONE)]
        made = {key[1] for key in keys if key[0] == "name" and (key not in before or key not in after)}
        kept = [
            key
            for key in keys
            if key[0] == "name" or ((key[2] if key[0] == "held" else key[1]) not in made and not self._is_followed(key))
        ]
        return {key: (before.get(key, GONE), after.get(key, GONE)) for key in kept}

    def _is_followed(self, key: tuple[Any, ...]) -> bool:
        """Whether a held mark came or went with an instance that somebody else made or removed."""
        return key[0] == "held" and (key not in self.before.atoms or key not in self.after.atoms)

    @property
    def has_removed(self) -> bool:
        """Whether an instance was removed in it."""
        return any(key[0] == "name" and after == GONE for key, (_, after) in self.changes.items())

    @property
    def tops(self) -> set[Any]:
        """The instances at the top, and the names, that it is about."""
        both = (self.before.atoms, self.after.atoms)
        names = {atoms[key] for key in self.changes if key[0] == "name" for atoms in both if key in atoms}
        links = [[(key, source) for key, source in atoms.items() if key[0] == "link"] for atoms in both]
        sources = {source[-1] for _, source in set(links[0]) ^ set(links[1])}
        return {key[-1] if key[0] == "held" else key[1] for key in self.changes} | names | sources


def leaves(value: Any, path: tuple[Any, ...] = ()) -> Atoms:
    """The leaves of a tree, and what its arrays and records are."""
    if isinstance(value, list):
        return {path: ("list", len(value))} | {k: v for i, one in enumerate(value) for k, v in leaves(one, (*path, i)).items()}
    if isinstance(value, dict):
        return {path: ("record",)} | {k: v for name, one in value.items() for k, v in leaves(one, (*path, name)).items()}
    return {} if value is None else {path: value}


def tree_of(atoms: Atoms) -> dict[str, Any]:
    """The tree with these leaves."""
    root: dict[str, Any] = {}
    for path in sorted(atoms, key=len):
        atom, node = atoms[path], root
        for member in path[:-1]:
            node = node[member]
        new: Any = atom if not isinstance(atom, tuple) else [None] * atom[1] if atom[0] == "list" else {}
        if isinstance(node, list) and path[-1] >= len(node):
            node.extend([None] * (path[-1] + 1 - len(node)))
        node[path[-1]] = new
    return root


def tops_in(network: Network, fact: Any) -> set[int | None]:
    """The instances at the top that a fact is about; a connection is about both of its ends."""
    ids = [getattr(fact, "id", None), *([fact.source] if isinstance(fact, Connected) else [])]
    return {top_of(network, id) if id in network.instances and id is not None else id for id in ids}


class Deeds:
    """Keeps what stood before and after each transaction."""

    def __init__(self, witness: Witness) -> None:
        self.witness = witness
        self.done: dict[int, Deed] = {}
        self.grown_at = 0
        """When the module became another version: what was done before may be about what is no more."""
        self._ids: dict[str, int] = {}

    def removed(self) -> Iterator[One]:
        """Instances as they stood before or after some deed."""
        for deed in self.done.values():
            yield from (one for standing in (deed.before, deed.after) for _, one in standing.whole.values())

    def stand(self, *, is_whole: bool) -> Standing:
        """What stands now."""
        reference, ids = self.witness.reference, self.witness.ids()
        atoms: Atoms = {}
        for path, one in reference.made.items():
            top = ids[path.partition(":")[0]]
            atoms["held", ids[path], top] = one.is_held
            if ":" not in path:
                atoms["name", ids[path]] = path
                for leaf, value in leaves(one.values["in"]).items():
                    if leaf:
                        atoms["leaf", ids[path], leaf] = value if isinstance(value, tuple) else ("is", value)
        for at, source in reference.links.items():
            if ":" not in at[0] and at[1] == "in":
                atoms["link", ids[at[0]], at[2]] = (ids[source[0]], *source[1:], ids[source[0].partition(":")[0]])
        standing = Standing(atoms)
        for at, source in reference.links.items():
            if ":" in source[0] and at[1] == "in":
                shown = conform(self.witness._kind(at), reference.show(*at))
                standing.shown["link", ids[at[0]], at[2]] = deepcopy(shown)
        if is_whole:
            standing.whole = {ids[path]: (path, deepcopy(one)) for path, one in reference.made.items()}
            standing.links = [((ids[at[0]], *at[1:]), (ids[source[0]], *source[1:])) for at, source in reference.links.items()]
        return standing

    def is_undone(self, seq: int) -> bool:
        return any(deed.undoes == seq and not self.is_undone(by) for by, deed in self.done.items())

    def standing_later(self, seq: int) -> dict[int, Deed]:
        """Later transactions that stand; those that were taken back do not, nor does what took them back."""
        later = {by: deed for by, deed in self.done.items() if by > seq and not self.is_undone(by)}
        return {by: deed for by, deed in later.items() if deed.undoes is None or deed.undoes <= seq}

    def prepare(self, seq: int) -> engine.UndoRequested | None:
        """What a server asks the engine for; None when it refuses itself, which must be right."""
        undoing = Undoing(seq)
        for data in self.witness.log:
            undoing.read(data)
        assert not self.is_undone(seq)
        clash, deed = undoing.clash(), self.done[seq]
        if clash is not None:
            # What a transaction did and took back itself is a change to the engine, and none here.
            mine = deed.tops.union(*(tops_in(undoing.network, fact) for fact in undoing.claim.facts()))
            others = {by: other.tops | tops_in(undoing.network, clash.fact) for by, other in self.standing_later(seq).items()}
            assert others.get(clash.done.seq, set()) & mine, f"refused for what has nothing to do with it: {clash}"
            return None
        return engine.UndoRequested(undoing, "ada")

    def undo(self, seq: int, *, is_foreseen: bool = False) -> bool:
        """Take a transaction back; say whether that was accepted. What is foreseen must come."""
        event = self.prepare(seq)
        if event is None:
            return False
        deed, before = self.done[seq], self.stand(is_whole=True)
        self._ids = self.witness.ids()
        try:
            foresight = Foresight(self.witness, event) if is_foreseen else None
            outcome = self.witness.step(event, lambda: self._follow(deed))
        except CopernicusError as error:
            is_older = seq <= self.grown_at and "is another version now" in str(error)
            is_excused = not deed.changes or self.standing_later(seq) or is_older or self._has_lost_its_sources(deed)
            assert is_excused or self._is_back_already(deed), "what nobody touched since was not taken back"
            return False
        assert outcome.seq is not None
        for key, (_, after) in deed.changes.items():
            if key[0] in ("leaf", "name") and not self._is_left(deed, key):
                assert before.atoms.get(key, GONE) == after, f"{key} was written since"
        self.done[outcome.seq] = Deed(before, self.stand(is_whole=True), seq)
        if foresight is not None:
            foresight.check()
        return True

    def _follow(self, deed: Deed) -> None:
        """Put back what the deed changed, atom by atom."""
        witness, reference, changes = self.witness, self.witness.reference, deed.changes
        ids = {id: path for path, id in self._ids.items()}
        links = {key: was for key, (was, _) in changes.items() if key[0] == "link"}
        for _, id, path in links:
            if id in ids:
                reference.links.pop((ids[id], "in", path), None)
        names = {key[1]: pair for key, pair in changes.items() if key[0] == "name"}
        for id, (was, _) in names.items():
            if was == GONE and id in ids:
                reference.remove(ids[id], witness._kind)
        renamed = {id: was for id, (was, after) in names.items() if GONE not in (was, after) and id in ids}
        for id in renamed:
            self._rename(ids[id], f"_{id}")
        for id, was in renamed.items():
            self._rename(f"_{id}", was)
        for id, (_, after) in names.items():
            if after == GONE:
                self._bring_back(deed, id)
        self._put_back(deed, links)

    def _is_left(self, deed: Deed, key: tuple[Any, ...]) -> bool:
        """Whether only a controller can have written there: what is connected lost its source."""
        return any(one[0] == "link" and one[1] == key[1] for one in deed.changes)

    def _is_back_already(self, deed: Deed) -> bool:
        """Whether what it removed has come back otherwise: by taking back an undo, and the undo of that, and so on."""
        there = set(self._ids.values())
        return any(key[0] == "name" and after == GONE and key[1] in there for key, (_, after) in deed.changes.items())

    def _has_lost_its_sources(self, deed: Deed) -> bool:
        """Whether all that it did was to end connections whose sources are gone for good: the places keep what they showed."""
        there = set(self._ids.values())
        ended = [key[1:] for key, (was, _) in deed.changes.items() if key[0] == "link" and was != GONE and was[0] not in there]
        return all(
            any(key[1] == id and key[2][: len(path)] == path for id, path in ended) if key[0] in ("link", "leaf") else False
            for key in deed.changes
        )

    def _rename(self, path: str, name: str) -> None:
        rename(self.witness.reference, path, name)
        self.witness.seen_at = {renamed(one, path, name): saw for one, saw in self.witness.seen_at.items()}

    def _bring_back(self, deed: Deed, top: int) -> None:
        """An instance with all that was in it, as it was: results come back, failures are tried again."""
        reference = self.witness.reference
        name = deed.before.atoms["name", top]
        paths = {id: path for id, (path, _) in deed.before.whole.items() if path.partition(":")[0] == name}
        for id, path in paths.items():
            one = deepcopy(deed.before.whole[id][1])
            one.asked, one.is_pending = None, True
            if reference.results.get(one.present, ("", None))[0] != "done" or one.present in reference.struck:
                one.present = ""
            if one.function.kind != "controller":
                one.error = ""
            reference.made[path] = one
        for path in paths.values():
            if reference.made[path].present:
                reference.tell_around(path)
        for at, source in deed.before.links:
            if at[0] in paths and source[0] in paths:
                reference.links[(paths[at[0]], *at[1:])] = (paths[source[0]], *source[1:])

    def _put_back(self, deed: Deed, links: dict[tuple[Any, ...], Any]) -> None:
        reference, network = self.witness.reference, self.witness.network
        paths = {id: network.path_of(id) for id in network.instances if id != ROOT}
        leaf_changes = {key: was for key, (was, _) in deed.changes.items() if key[0] == "leaf"}
        for id in {key[1] for key in leaf_changes} & paths.keys():
            one = reference.made[paths[id]]
            atoms = {path: atom for path, atom in leaves(one.values["in"]).items() if path}
            for _, at, path in sorted([key for key in leaf_changes if key[1] == id], key=lambda key: -len(key[2])):
                was = leaf_changes["leaf", at, path]
                if was == GONE:
                    # Somebody may have put something else into what came to be then.
                    if not any(one != path and one[: len(path)] == path for one in atoms):
                        atoms.pop(path, None)
                else:
                    atoms[path] = was[1] if was[0] == "is" else was
            one.values["in"] = tree_of(atoms)
        back = {key[1] for key, (_, after) in deed.changes.items() if key[0] == "name" and after == GONE}
        links = links | {key: was for key, was in deed.before.atoms.items() if key[0] == "link" and key[1] in back}
        for (_, id, path), was in links.items():
            if was == GONE or id not in paths:
                continue
            if was[0] in paths:
                reference.links[paths[id], "in", path] = (paths[was[0]], was[1], was[2])
            else:
                reference.write((paths[id], "in", path), deepcopy(deed.before.shown["link", id, path]))
        for key, (was, _) in deed.changes.items():
            if key[0] == "held" and key[1] in paths and was != GONE:
                reference.made[paths[key[1]]].is_held = was
