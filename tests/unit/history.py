"""One history of a project: random edits, answers, job ends and crashes, beside the reference model.

A history is a list of decisions `(rule, seed)`. Each rule draws all that it needs from its own seed, so that a history of which
some decisions are left out is a history as well: that is how a long one which fails becomes a short one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from random import Random
from typing import Any

from tests.unit import drawn_edits as drawn
from tests.unit.foresight import Foresight
from tests.unit.functions import FUNCTIONS, RUN
from tests.unit.witness import Witness

from copernicus.dataflow.calls import ChildStart, ControllerAnswer
from copernicus.dataflow.engine import EditsRequested
from copernicus.dataflow.facts import decode_record
from copernicus.dataflow.transaction import DescribeJob, StartCall
from copernicus.errors import CopernicusError
from copernicus.model import edits as e

Decision = tuple[str, int]
Rule = Callable[["History", Random], "bool | None"]
RULES: dict[str, Rule] = {}


def rule(function: Rule) -> Rule:
    """Register what can happen. A rule that returns False could not happen."""
    RULES[function.__name__] = function
    return function


class History:
    """What happens to one project. `told` collects one line for each thing that happened, `happened` how often each did."""

    def __init__(self, every: int = 1) -> None:
        self.witness = Witness(every)
        self.answered: list[Any] = []
        self.sets: list[e.Edit] = []
        self.is_grown = False
        self.decisions: list[Decision] = []
        self.told: list[str] = []
        self.happened: Counter[str] = self.witness.happened

    def live(self, seed: int, steps: int) -> None:
        """Let as many things happen as `steps`; some rules are left out of each history, others come often."""
        chance = Random(seed)
        self.decide("begin_with_some", chance.getrandbits(32))
        names = list(RULES)
        weights = [chance.choice([0, 1, 1, 1, 2, 4]) for _ in names]
        weights[names.index("go_on")] += 1
        for name in chance.choices(names, weights, k=2 * steps):
            self.decide(name, chance.getrandbits(32))
            if len(self.decisions) > steps:
                break
        self.end()

    def relive(self, decisions: list[Decision]) -> None:
        """Let these decisions happen."""
        for name, seed in decisions:
            self.decide(name, seed)
        self.end()

    def decide(self, name: str, seed: int) -> None:
        """Let one rule happen, if it can."""
        self.decisions.append((name, seed))
        chance = Random(seed)
        self.told.append(f"-- {name}")
        has_happened = RULES[name](self, chance) if name in RULES else self.begin_with_some(chance)
        if has_happened is False:
            self.decisions.pop()
            self.told.pop()
        else:
            self.happened[name] += 1

    def begin_with_some(self, chance: Random) -> None:
        for _ in range(3):
            self.begin(chance)

    def jobs(self, *states: str) -> list[str]:
        return [key for key, job in self.witness.jobs.items() if job["state"] in states]

    # --- edits -------------------------------------------------------------------------------------------------------

    @rule
    def begin(self, chance: Random) -> bool:
        """An instance that may work, and mostly has what it needs."""
        name, function = chance.choice(drawn.NAMES), chance.choice(FUNCTIONS)
        if name in self.witness.reference.made:
            return False
        fields = [one for one in function.inputs if one.is_required and chance.random() < 0.9]
        sets = [e.SetValue(f"{name}:in.{one.name}", drawn.some_value(chance, one.kind)) for one in fields]
        is_made = self.edited(e.MakeInstance(function.name, name), *sets, e.Activate())
        assert is_made == (function.name not in self.witness.reference.outdated)
        return True

    @rule
    def edit(self, chance: Random) -> None:
        for _ in range(chance.randint(1, 5)):
            self.edited(drawn.some_edit(chance, self.witness.reference))

    @rule
    def lengthen(self, chance: Random) -> bool:
        """A job is made longer, or shorter."""
        made = self.witness.reference.made
        runs = [path for path in drawn.top(self.witness.reference) if made[path].function.name == RUN.name]
        if runs:
            self.edited(e.SetValue(f"{chance.choice(runs)}:in.n", chance.randrange(1, 6)))
        return bool(runs)

    @rule
    def set_back(self, chance: Random) -> bool:
        """What was set before is set again."""
        if self.sets:
            self.edited(chance.choice(self.sets))
        return bool(self.sets)

    @rule
    def mend(self, chance: Random) -> bool:
        reference = self.witness.reference
        failed = [path for path in reference.made if reference.error(path)]
        if failed:
            path = chance.choice(failed)
            self.edited(chance.choice([e.ClearError(""), e.ClearError(path), e.ForceRerun(path)]))
        return bool(failed)

    @rule
    def shorten_or_append(self, chance: Random) -> bool:
        reference = self.witness.reference
        arrays = [
            (f"{path}:in.{name}", value)
            for path in drawn.top(reference)
            for name, value in reference.made[path].values["in"].items()
            if isinstance(value, list)
        ]
        if arrays:
            place, value = chance.choice(arrays)
            if chance.random() < 0.5:
                self.edited(e.Unset(f"{place}[{len(value) - 1}]"))
            else:
                self.edited(e.SetValue(f"{place}[+]", {"p": 1} if place.endswith("all") else chance.randrange(4)))
        return bool(arrays)

    @rule
    def connect(self, chance: Random) -> bool:
        is_possible = bool(drawn.top(self.witness.reference))
        if is_possible:
            self.edited(drawn.some_connection(chance, self.witness.reference))
        return is_possible

    @rule
    def transaction(self, chance: Random) -> None:
        edits = [drawn.some_edit(chance, self.witness.reference) for _ in range(chance.randint(2, 4))]
        is_spoilt = chance.random() < 0.4
        if is_spoilt:
            edits.insert(chance.randint(0, len(edits)), e.SetValue("nobody:in.x", 1))
        is_accepted = self.edited(*edits, is_check=chance.random() < 0.4)
        assert not (is_spoilt and is_accepted)

    @rule
    def preview(self, chance: Random) -> None:
        """What is foreseen comes, whether or not it is then asked for."""
        edits = [drawn.some_edit(chance, self.witness.reference) for _ in range(chance.randint(1, 3))]
        self.told += map(str, edits)
        try:
            foresight = Foresight(self.witness, EditsRequested(edits, "ada"))
        except CopernicusError:
            assert not self.edited(*edits)
            return
        if chance.random() < 0.7:
            assert self.edited(*edits)
            self.happened["a preview came true"] += foresight.is_quiet
            foresight.check()

    @rule
    def undo(self, chance: Random) -> bool:
        """One of the last transactions is taken back; it may have been an undo."""
        deeds = self.witness.deeds
        stands = [seq for seq in deeds.done if not deeds.is_undone(seq)][-6:]
        if not stands:
            return False
        seq = chance.choice(stands)
        is_accepted = deeds.undo(seq, is_foreseen=chance.random() < 0.3)
        self.told.append(f"transaction {seq} {'is taken back' if is_accepted else 'is not taken back'}")
        self.happened["an undo was accepted" if is_accepted else "an undo was refused"] += 1
        self.happened["an undo of an undo"] += is_accepted and deeds.done[seq].undoes is not None
        self.happened["what was removed came back"] += is_accepted and deeds.done[seq].has_removed
        return True

    def edited(self, *edits: e.Edit, is_check: bool = False) -> bool:
        """Ask for edits; say whether they were accepted."""
        self.told += map(str, edits)
        is_accepted = self.witness.edit(*edits, is_check=is_check)
        word = ("checked" if is_check else "accepted") if is_accepted else "refused"
        self.told.append(f"   {word}")
        for one in edits:
            self.happened[f"{type(one).__name__} {word}"] += 1
            if word == "accepted" and isinstance(one, e.SetValue) and "[+]" not in one.path:
                self.sets.append(one)
        return is_accepted

    # --- module code, workers, crashes -------------------------------------------------------------------------------

    @rule
    def answer(self, chance: Random) -> bool:
        if not self.witness.todo:
            return False
        position = chance.randrange(len(self.witness.todo))
        effect = self.witness.todo[position]
        self.told.append(f"answers {effect}")
        self.answered.append(effect)
        given = None
        if isinstance(effect, StartCall) and chance.random() < 0.4:
            bad = ControllerAnswer(starts=[ChildStart("job_0", "m::work", {"x": 7}), ChildStart("other", "m::none")])
            bad_too = ControllerAnswer(removes=[child.name for child in effect.call.children], starts=bad.starts)
            failed = ControllerAnswer(outputs={"total": 5}, error="no idea")
            given = chance.choice([bad, bad_too, failed])
            self.happened["a bad answer"] += 1
        self.witness.answer(position, given)
        return True

    @rule
    def answer_again(self, chance: Random) -> bool:
        """An answer comes twice: what it says is known, or outdated."""
        if not self.answered:
            return False
        effect = chance.choice(self.answered)
        if not isinstance(effect, DescribeJob | StartCall) and effect.key not in self.witness.reference.results:
            return False
        self.told.append(f"answers again {effect}")
        self.witness.todo.append(effect)
        self.witness.answer(len(self.witness.todo) - 1)
        return True

    @rule
    def go_on(self, chance: Random) -> None:
        """Module code answers and workers work for a while."""
        for _ in range(chance.randint(1, 15)):
            queued, leased = self.jobs("queued"), self.jobs("leased")
            if self.witness.todo and chance.random() < 0.6:
                self.witness.answer(chance.randrange(len(self.witness.todo)))
            elif queued and chance.random() < 0.6:
                self.witness.lease(chance.choice(queued))
            elif leased:
                self.witness.end_job(chance.choice(leased), "it broke" if chance.random() < 0.1 else "")

    @rule
    def answer_all(self, chance: Random) -> bool:
        is_possible = bool(self.witness.todo)
        for _ in range(100):
            if self.witness.todo:
                self.witness.answer(0)
        return is_possible

    @rule
    def lease(self, chance: Random) -> bool:
        queued = self.jobs("queued")
        if queued:
            self.witness.lease(chance.choice(queued))
        return bool(queued)

    @rule
    def end_job(self, chance: Random) -> bool:
        keys = self.jobs("queued", "leased")
        if not keys:
            return False
        key, fails = chance.choice(keys), chance.choice(["", "", "", "it broke"])
        self.told.append(f"ends {self.witness.jobs[key]}: {fails or 'done'}")
        self.witness.jobs[key]["state"] = "leased"
        self.witness.end_job(key, fails)
        return True

    @rule
    def drop_job(self, chance: Random) -> bool:
        keys = [key for key, job in self.witness.jobs.items() if job["is_superseded"]]
        if keys:
            self.witness.drop_job(chance.choice(keys))
        return bool(keys)

    @rule
    def forget(self, chance: Random) -> bool:
        """A process that answers a controller's calls is gone, or has made room."""
        memories = sorted(self.witness.told.memories)
        if memories:
            self.witness.told.forget(chance.choice(memories))
        return bool(memories)

    @rule
    def restart(self, chance: Random) -> None:
        """A crash, and afterwards the module is another version, or some of it is missing for a while."""
        is_grown = self.is_grown or chance.random() < 0.5
        self.happened["the module has grown"] += is_grown and not self.is_grown
        self.is_grown, is_whole = is_grown, chance.random() < 0.5
        self.happened["functions were missing"] += not is_whole
        self.witness.restart(is_grown=is_grown, is_whole=is_whole)

    @rule
    def crash(self, chance: Random) -> None:
        self.witness.crash()

    def end(self) -> None:
        """Whoever goes on, and whoever comes up from the log, end with the same values."""
        for data in self.witness.log:
            self.happened.update(f"fact {type(fact).__name__}" for fact in decode_record(data).facts)
        # A call that is under way is lost with a crash; what is made anew may see other inputs.
        for path, one in self.witness.reference.made.items():
            if one.function.kind == "controller" and one.asked is not None:
                saw, inputs = self.witness.seen_at[path][1]["in"], self.witness.reference.inputs(path)
                if self.witness.reference.is_held(path) or inputs != (saw, True):
                    self.answer_all(Random(0))
                    break
        other = self.witness.fork()
        if not self.witness.finish() or not other.finish():
            self.happened["does not settle"] += 1
            return
        here, there = self.witness.values(), other.values()
        differ = {place: (value, there.get(place)) for place, value in here.items() if there.get(place) != value}
        if differ and (
            self.witness.reference.goes_round()
            or (self.witness.reference.undecided() | other.reference.undecided()) & differ.keys()
        ):
            self.happened["chance decides"] += 1
            return
        assert not differ, differ
