"""The engine under random edits, answers, job ends and crashes, in any order, beside the reference model.

`COPERNICUS_HISTORIES` says how many histories are tried (a short run is the default), `COPERNICUS_STEPS` how long each is.
"""

from __future__ import annotations

import os
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, note, settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test
from tests.unit.foresight import Foresight
from tests.unit.functions import FUNCTIONS, UNLUCKY
from tests.unit.witness import Witness

from copernicus.dataflow.calls import ChildStart, ControllerAnswer
from copernicus.dataflow.engine import EditsRequested
from copernicus.dataflow.paths import APPEND, show_path
from copernicus.dataflow.transaction import DescribeJob, StartCall
from copernicus.errors import CopernicusError
from copernicus.model import edits as e
from copernicus.model.types import Type, fits

IS_SHORT = "COPERNICUS_HISTORIES" not in os.environ
HISTORIES = int(os.environ.get("COPERNICUS_HISTORIES", "200"))
STEPS = int(os.environ.get("COPERNICUS_STEPS", "40"))
NAMES = ["a", "b", "c", "d", "e"]
RANDOM = st.randoms(use_true_random=False)


def some_value(chance: Random, kind: Type) -> Any:
    """A value of a type, out of few, so that they come back."""
    if kind.kind == "array":
        length = chance.choice([0, 1, 1, 2, 2, 3, 4])
        return [
            None if kind.element.is_optional and chance.random() < 0.3 else some_value(chance, kind.element)
            for _ in range(length)
        ]
    if kind.kind == "record":
        return {name: some_value(chance, member) for name, member in kind.fields if chance.random() < 0.8}
    if kind.kind == "float":
        return chance.choice([0.0, 1.0, 2.5])
    return UNLUCKY if chance.random() < 0.05 else chance.choice([0, 1, 2, 3])


class Machine(RuleBasedStateMachine):
    histories, happened = 0, 0

    def __init__(self) -> None:
        super().__init__()
        self.witness = Witness()
        self.answered: list[Any] = []
        self.sets: list[e.Edit] = []

    # --- edits -------------------------------------------------------------------------------------------------------

    def top(self) -> list[str]:
        return [path for path in self.witness.reference.made if ":" not in path]

    def some_place(self, chance: Random, path: str, side: str, *, is_written: bool) -> tuple[str, Type]:
        """Some place of an instance, written out, and its type."""
        function = self.witness.reference.made[path].function
        field = chance.choice(function.inputs if side == "in" else function.outputs)
        members, kind = [field.name], field.kind
        while kind.kind in ("array", "record") and chance.random() < 0.5:
            if kind.kind == "array":
                members.append(chance.choice([0, 0, 1, 1, 2, 3, APPEND, APPEND] if is_written else [0, 0, 1, 2]))
                kind = kind.element
            else:
                name, kind = chance.choice(kind.fields)
                members.append(name)
        return show_path(path, side, tuple(members)), kind

    def some_connection(self, chance: Random) -> e.Edit:
        """A connection; of those that were tried first, one that fits."""
        made, top = list(self.witness.reference.made), self.top()
        for _ in range(30):
            side = chance.choice(["in", "out", "out", "out"])
            source, offered = self.some_place(chance, chance.choice(made), side, is_written=False)
            destination, wanted = self.some_place(chance, chance.choice(top), "in", is_written=True)
            if not fits(offered, wanted):
                break
        return e.Connect(source, destination)

    def some_set(self, chance: Random) -> e.Edit:
        path, kind = self.some_place(chance, chance.choice(self.top()), "in", is_written=True)
        return e.SetValue(path, some_value(chance, kind))

    def some_unset(self, chance: Random) -> e.Edit:
        """Mostly of something that is there."""
        reference = self.witness.reference
        path = chance.choice(self.top())
        for name, value in chance.sample(
            list(reference.made[path].values["in"].items()), k=len(reference.made[path].values["in"])
        ):
            if isinstance(value, list) and value and chance.random() < 0.8:
                return e.Unset(f"{path}:in.{name}[{chance.choice([len(value) - 1, chance.randrange(len(value))])}]")
            if isinstance(value, dict) and chance.random() < 0.5:
                return e.Unset(f"{path}:in.{name}.{chance.choice(['p', 'q'])}")
            return e.Unset(f"{path}:in.{name}")
        return e.Unset(self.some_place(chance, path, "in", is_written=True)[0])

    def some_disconnect(self, chance: Random) -> e.Edit:
        mine = [where for where in self.witness.reference.links if ":" not in where[0]]
        return e.Disconnect(show_path(*chance.choice(mine))) if mine else self.some_set(chance)

    def some_edit(self, chance: Random) -> e.Edit:
        made, top = list(self.witness.reference.made), self.top()
        if not top or chance.random() < 0.1:
            return e.MakeInstance(chance.choice(FUNCTIONS).name, chance.choice(NAMES))
        makers = [self.some_set] * 5 + [self.some_unset] * 3 + [self.some_connection] * 4 + [self.some_disconnect] * 2
        makers += [
            lambda chance: e.Activate(chance.choice(["", *made])),
            lambda chance: e.Activate(chance.choice(["", *top])),
            lambda chance: e.Deactivate(chance.choice(["", *made])),
            lambda chance: e.ClearError(chance.choice(["", "", *made])),
            lambda chance: e.ForceRerun(chance.choice(made)),
            lambda chance: e.RenameInstance(chance.choice(top), chance.choice(NAMES)),
        ]
        if len(top) > 2:
            makers.append(lambda chance: e.RemoveInstance(chance.choice(top)))
        return chance.choice(makers)(chance)

    @initialize(chance=RANDOM)
    def begin_with_some(self, chance: Random) -> None:
        for _ in range(3):
            self.begin(chance)

    @rule(chance=RANDOM)
    def begin(self, chance: Random) -> None:
        """An instance that may work, and mostly has what it needs."""
        name, function = chance.choice(NAMES), chance.choice(FUNCTIONS)
        if name in self.witness.reference.made:
            return
        fields = [one for one in function.inputs if one.is_required and chance.random() < 0.9]
        edits = [e.SetValue(f"{name}:in.{one.name}", some_value(chance, one.kind)) for one in fields]
        edits = [e.MakeInstance(function.name, name), *edits, e.Activate()]
        note(f"{edits}")
        assert self.witness.edit(*edits)

    @rule(chance=RANDOM, how_many=st.integers(1, 5))
    def edit(self, chance: Random, how_many: int) -> None:
        for _ in range(how_many):
            self.edited(self.some_edit(chance))

    @precondition(lambda self: self.sets)
    @rule(chance=RANDOM)
    def set_back(self, chance: Random) -> None:
        """What was set before is set again."""
        self.edited(chance.choice(self.sets))

    @precondition(lambda self: any(self.witness.reference.error(path) for path in self.witness.reference.made))
    @rule(chance=RANDOM)
    def mend(self, chance: Random) -> None:
        reference = self.witness.reference
        path = chance.choice([path for path in reference.made if reference.error(path)])
        self.edited(chance.choice([e.ClearError(""), e.ClearError(path), e.ForceRerun(path)]))

    @rule(chance=RANDOM)
    def shorten_or_append(self, chance: Random) -> None:
        arrays = [
            (f"{path}:in.{name}", value)
            for path in self.top()
            for name, value in self.witness.reference.made[path].values["in"].items()
            if isinstance(value, list)
        ]
        if arrays:
            place, value = chance.choice(arrays)
            if chance.random() < 0.5:
                self.edited(e.Unset(f"{place}[{len(value) - 1}]"))
            else:
                self.edited(e.SetValue(f"{place}[+]", {"p": 1} if place.endswith("all") else chance.randrange(4)))

    def edited(self, one: e.Edit) -> None:
        note(f"{one}")
        accepted = self.witness.edit(one)
        note(f"{accepted}")
        if accepted and isinstance(one, e.SetValue) and "[+]" not in one.path:
            self.sets.append(one)

    @rule(chance=RANDOM)
    def connect(self, chance: Random) -> None:
        self.edited(self.some_connection(chance) if self.top() else self.some_edit(chance))

    @rule(chance=RANDOM, is_check=st.booleans(), how_many=st.integers(2, 4), spoil=st.booleans())
    def transaction(self, chance: Random, is_check: bool, how_many: int, spoil: bool) -> None:
        edits = [self.some_edit(chance) for _ in range(how_many)]
        if spoil:
            edits.insert(chance.randint(0, how_many), e.SetValue("nobody:in.x", 1))
        note(f"{edits}")
        accepted = self.witness.edit(*edits, is_check=is_check)
        note(f"{accepted}")
        assert not (spoil and accepted)

    @rule(chance=RANDOM, how_many=st.integers(1, 3))
    def preview(self, chance: Random, how_many: int) -> None:
        """What is foreseen comes, whether or not it is then asked for."""
        edits = [self.some_edit(chance) for _ in range(how_many)]
        note(f"{edits}")
        try:
            foresight = Foresight(self.witness, EditsRequested(edits, "ada"))
        except CopernicusError:
            assert not self.witness.edit(*edits)
            return
        if chance.random() < 0.7:
            assert self.witness.edit(*edits)
            foresight.check()

    @precondition(lambda self: self.witness.deeds.done)
    @rule(chance=RANDOM)
    def undo(self, chance: Random) -> None:
        """One of the last transactions is taken back; it may have been an undo."""
        deeds = self.witness.deeds
        stands = [seq for seq in deeds.done if not deeds.is_undone(seq)][-6:]
        if stands:
            seq = chance.choice(stands)
            note(f"takes back {seq}: {deeds.undo(seq)}")

    # --- module code, workers, crashes -------------------------------------------------------------------------------

    @precondition(lambda self: self.witness.todo)
    @rule(data=st.data())
    def answer(self, data: st.DataObject) -> None:
        position = data.draw(st.integers(0, len(self.witness.todo) - 1))
        effect = self.witness.todo[position]
        note(f"answers {effect}")
        self.answered.append(effect)
        given = None
        if isinstance(effect, StartCall):
            bad = ControllerAnswer(starts=[ChildStart("job_0", "m::work", {"x": 7}), ChildStart("other", "m::none")])
            bad_too = ControllerAnswer(removes=[child.name for child in effect.call.children], starts=bad.starts)
            failed = ControllerAnswer(outputs={"total": 5}, error="no idea")
            given = data.draw(st.sampled_from([None, None, None, None, bad, bad_too, failed]))
        self.witness.answer(position, given)

    @precondition(lambda self: self.answered)
    @rule(data=st.data())
    def answer_again(self, data: st.DataObject) -> None:
        """An answer comes twice: what it says is known, or outdated."""
        effect = data.draw(st.sampled_from(self.answered))
        if isinstance(effect, DescribeJob | StartCall) or effect.key in self.witness.reference.results:
            self.witness.todo.append(effect)
            self.witness.answer(len(self.witness.todo) - 1)

    @rule(chance=st.randoms(use_true_random=False), how_long=st.integers(1, 15))
    def go_on(self, chance: Random, how_long: int) -> None:
        """Module code answers and workers work for a while."""
        for _ in range(how_long):
            queued, leased = self.jobs("queued"), self.jobs("leased")
            if self.witness.todo and chance.random() < 0.6:
                self.witness.answer(chance.randrange(len(self.witness.todo)))
            elif queued and chance.random() < 0.6:
                self.witness.lease(chance.choice(queued))
            elif leased:
                self.witness.end_job(chance.choice(leased), "it broke" if chance.random() < 0.1 else "")

    @rule()
    def answer_all(self) -> None:
        for _ in range(100):
            if self.witness.todo:
                self.witness.answer(0)

    def jobs(self, *states: str) -> list[str]:
        return [key for key, job in self.witness.jobs.items() if job["state"] in states]

    @precondition(lambda self: self.jobs("queued"))
    @rule(data=st.data())
    def lease(self, data: st.DataObject) -> None:
        self.witness.lease(data.draw(st.sampled_from(self.jobs("queued"))))

    @precondition(lambda self: self.jobs("queued", "leased"))
    @rule(data=st.data(), fails=st.sampled_from(["", "", "", "it broke"]))
    def end_job(self, data: st.DataObject, fails: str) -> None:
        key = data.draw(st.sampled_from(self.jobs("queued", "leased")))
        note(f"ends {self.witness.jobs[key]}: {fails or 'done'}")
        self.witness.jobs[key]["state"] = "leased"
        self.witness.end_job(key, fails)

    @precondition(lambda self: any(job["is_superseded"] for job in self.witness.jobs.values()))
    @rule(data=st.data())
    def drop_job(self, data: st.DataObject) -> None:
        keys = [key for key, job in self.witness.jobs.items() if job["is_superseded"]]
        self.witness.drop_job(data.draw(st.sampled_from(keys)))

    @precondition(lambda self: self.witness.told.memories)
    @rule(data=st.data())
    def forget(self, data: st.DataObject) -> None:
        """A process that answers a controller's calls is gone, or has made room."""
        self.witness.told.forget(data.draw(st.sampled_from(sorted(self.witness.told.memories))))

    @rule()
    def crash(self) -> None:
        self.witness.crash()

    def teardown(self) -> None:
        """Whoever goes on, and whoever comes up from the log, end with the same values."""
        Machine.histories, Machine.happened = Machine.histories + 1, Machine.happened + self.witness.clock
        if not self.witness.is_sound or not self.witness.log:
            return
        # A call that is under way is lost with a crash; what is made anew may see other inputs.
        for path, one in self.witness.reference.made.items():
            if one.function.kind == "controller" and one.asked is not None:
                saw, inputs = self.witness.seen_at[path][1]["in"], self.witness.reference.inputs(path)
                if self.witness.reference.is_held(path) or inputs != (saw, True):
                    self.answer_all()
                    break
        other = self.witness.fork()
        if not self.witness.finish() or not other.finish():
            return
        here, there = self.witness.values(), other.values()
        assert here == there, {place: (value, there.get(place)) for place, value in here.items() if there.get(place) != value}


@pytest.mark.timeout(900 if IS_SHORT else 0)
def test_the_engine_means_what_the_reference_means(capsys: pytest.CaptureFixture[str]) -> None:
    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=HISTORIES,
            stateful_step_count=STEPS,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            derandomize=IS_SHORT,
            database=None,
        ),
    )
    if not IS_SHORT:
        with capsys.disabled():
            print(f"\n{Machine.histories} histories, {Machine.happened} things happened in them")
