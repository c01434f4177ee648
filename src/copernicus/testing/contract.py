"""The contract of controllers: what the engine takes for granted of each, checked in memory."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, TypeVar

from copernicus.errors import CopernicusError
from copernicus.plugin.controller import CallFailed
from copernicus.plugin.evaluation import control
from copernicus.plugin.places import explain
from copernicus.testing.authors import FakeInstance

R = TypeVar("R")
MAX_CALLS = 10_000

SAME = "the same call has the same answer"
NOTHING = "a call with nothing new changes nothing"
MEMORY = "it remembers nothing but its state"
DIFFERENCE = "told only what is new, it answers as if told everything"
RESTART = "a restart between two calls changes nothing"
AGAIN = "a child that ends again with the same result changes nothing"
FAILS = "a child may fail"
INPUTS = "each input may change when all is done"
ORDER = "children that end one by one, backwards or all at once lead to the same end"
RULES = (SAME, NOTHING, MEMORY, DIFFERENCE, RESTART, AGAIN, FAILS, INPUTS, ORDER)


class ContractBroken(CopernicusError):
    """A controller does not keep a rule; the message names the rule, the controller's file and line, and what happened."""

    code = "module"


def check_controller(
    new: Callable[[], FakeInstance[R]],
    end: Callable[[FakeInstance[R], str], None],
    *,
    edits: Mapping[str, Any] | None = None,
    judged_by: Callable[[R], Any] | None = None,
    rules: Sequence[str] = RULES,
) -> None:
    """Check that a controller keeps the rules; raise `ContractBroken` for the first that it does not keep.

    new        makes an instance with its inputs, the same each time
    end        lets a child of this name end as its function would: `instance.end(name, output=…)`, the same each time
    edits      an input and another value of it, each to be set when everything is done
    judged_by  what of the outputs must be the same whatever the order of ends; without it, all of them
    rules      those to check: for a test for each, `pytest.mark.parametrize("rule", copernicus.testing.RULES)`
    """
    contract = _Contract(new, end, edits or {}, judged_by)
    for rule in rules:
        contract.check(rule)


class _Contract(Generic[R]):
    def __init__(
        self,
        new: Callable[[], FakeInstance[R]],
        end: Callable[[FakeInstance[R], str], None],
        edits: Mapping[str, Any],
        judged_by: Callable[[R], Any] | None,
    ) -> None:
        self._new, self._end, self._edits, self._judged_by = new, end, edits, judged_by
        self._rule = ""
        self._calls: list[tuple[Any, Any]] = []
        self._count = 0
        self._does_restart = False

    def check(self, rule: str) -> None:
        """Check one rule."""
        checks = {AGAIN: self._again, FAILS: self._fails, INPUTS: self._inputs, ORDER: self._order, MEMORY: self._memory,
                  RESTART: self._restart}  # fmt: skip
        if rule not in RULES:
            raise ContractBroken(f"There is no rule {rule!r}.", f"Rules: {'; '.join(RULES)}.")
        self._rule = rule
        checks.get(rule, self._finished)()

    def _broken(self, instance: FakeInstance[R], what: str) -> ContractBroken:
        return ContractBroken(
            f"{instance.function.signature.where}: {instance.function.name} breaks a rule: {self._rule}. {what}"
        )

    # --- a life of an instance

    def _call(self, instance: FakeInstance[R]) -> FakeInstance[R]:
        """Make one call, with what each rule wants to see at every call; return the instance that goes on."""
        if self._rule == RESTART and self._does_restart:
            self._new().call()  # what is left in the process is another instance's now
            instance = instance.restarted()
        request = copy.deepcopy(instance.request()) if self._rule == MEMORY else None
        first = second = None
        try:
            if self._rule in (SAME, DIFFERENCE):
                first = instance.restarted().answer()
            if self._rule == SAME:
                second = instance.restarted().answer()
            answer = instance.call()
        except CallFailed:
            raise
        except Exception as error:
            raise self._broken(instance, f"The call {self._count + 1} raised {explain(error)}") from error
        if second is not None and first != second:
            raise self._broken(instance, f"Asked once: {first}. Asked again: {second}.")
        if self._rule == DIFFERENCE and first != answer:
            raise self._broken(instance, f"Call {self._count + 1}, told everything: {first}. Told what is new: {answer}.")
        self._count += 1
        if request is not None:
            self._calls.append((request, answer))
        if self._rule == NOTHING:
            before = instance.facts()
            again = instance.restarted()
            again.call()
            if again.facts() != before:
                raise self._broken(instance, f"After call {self._count}: {_difference(before, again.facts())}.")
        return instance

    def _go_on(self, instance: FakeInstance[R], at_once: int = 1, is_backwards: bool = False) -> FakeInstance[R]:
        """Call, and let children end, until none is going."""
        instance = self._call(instance)
        for _ in range(MAX_CALLS):
            going = instance.going()
            if not going:
                return instance
            for name in (going[::-1] if is_backwards else going)[:at_once]:
                self._end(instance, name)
            instance = self._call(instance)
        raise self._broken(instance, f"It does not come to an end: {MAX_CALLS} calls, and {len(instance.going())} children go.")

    def _finished(self) -> FakeInstance[R]:
        self._calls, self._count = [], 0
        return self._go_on(self._new())

    def _judged(self, instance: FakeInstance[R]) -> Any:
        return instance.facts()["outputs"] if self._judged_by is None else self._judged_by(instance.out)

    # --- the rules

    def _memory(self) -> None:
        instance = self._finished()
        functions = instance.functions
        for number, (request, answer) in reversed(list(enumerate(self._calls, start=1))):
            again = control(functions, instance.function, copy.deepcopy(request))
            if again != answer:
                raise self._broken(instance, f"Call {number} was answered {answer}; asked again after the others, {again}.")

    def _restart(self) -> None:
        self._does_restart = False
        without = self._finished()
        self._does_restart = True
        restarted = self._finished()
        if restarted.facts() != without.facts():
            raise self._broken(without, _difference(without.facts(), restarted.facts()))

    def _again(self) -> None:
        instance = self._finished()
        before = self._judged(instance)
        for name in _first_of_each(instance):
            self._end(instance, name)
            instance = self._go_on(instance)
            if self._judged(instance) != before:
                raise self._broken(instance, f"{name} ended again: {before!r} became {self._judged(instance)!r}.")

    def _fails(self) -> None:
        for name in _first_of_each(self._finished()):
            instance = self._call(self._new())
            for _ in range(MAX_CALLS):
                going = instance.going()
                if name in going or not going:
                    break
                self._end(instance, going[0])
                instance = self._call(instance)
            if name not in instance.children:
                continue
            instance.fail(name, f"{name} failed, as the contract wants it")
            try:
                instance = self._go_on(instance)
            except CallFailed:  # it says itself that it cannot go on: that is an answer
                continue
            if name in instance.children:
                instance.clear_error(name)
                self._go_on(instance)

    def _inputs(self) -> None:
        for name, value in self._edits.items():
            instance = self._finished()
            instance.set(**{name: value})
            self._go_on(instance)

    def _order(self) -> None:
        one_by_one = self._finished()
        judged = self._judged(one_by_one)
        for words, at_once, is_backwards in (("all at once", MAX_CALLS, False), ("backwards", 1, True)):
            other = self._go_on(self._new(), at_once, is_backwards)
            if self._judged(other) != judged:
                raise self._broken(other, f"One by one: {judged!r}. {words.capitalize()}: {self._judged(other)!r}.")


def _first_of_each(instance: FakeInstance[Any]) -> list[str]:
    """The first child of each function."""
    firsts: dict[str, str] = {}
    for name, child in instance.children.items():
        firsts.setdefault(child.function, name)
    return list(firsts.values())


def _difference(one: Mapping[str, Any], other: Mapping[str, Any]) -> str:
    parts = [f"{name}: {one[name]!r} became {other[name]!r}" for name in one if one[name] != other[name]]
    return "; ".join(parts)
