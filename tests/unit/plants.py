"""Bugs planted into the engine, each with a scenario in which it shows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from tests.unit import scenarios
from tests.unit.drive import Drive

from copernicus.dataflow import (
    building,
    controlling,
    courses,
    engine,
    evaluating,
    facts as f,
    network,
    notebook,
    restoring,
    settling,
    status,
    taking_back,
    transaction,
    views,
    watch,
)

Patch = pytest.MonkeyPatch
Plant = Callable[[Patch], None]
PLANTS: dict[str, tuple[Callable[[Drive], None], Plant]] = {}


def plant(scenario: Callable[[Drive], None]) -> Callable[[Plant], Plant]:
    """Register a bug, and the scenario in which it shows."""

    def register(bug: Plant) -> Plant:
        PLANTS[bug.__name__] = scenario, bug
        return bug

    return register


@plant(scenarios.superseded)
def the_result_of_a_superseded_job_becomes_the_output(patch: Patch) -> None:
    def stand_anyway(tx: Any, key: str, outputs: Any, error: str, origin: Any) -> str:
        maker = tx.network.instances[tx.network.evaluations[key].instance]
        told = evaluating.file_result(tx, key, outputs, error, origin)
        if maker.key != key and outputs is not None:
            tx.do(f.Stood(maker.id, key))
        return told

    patch.setattr(engine, "file_result", stand_anyway)


@plant(scenarios.grows_longer)
def an_extension_starts_from_nothing(patch: Patch) -> None:
    patch.setattr(settling, "earlier_keys", lambda *_: ())


@plant(scenarios.grows_longer)
def an_extension_takes_a_checkpoint_of_another_instance(patch: Patch) -> None:
    def of_all(net: Any, instance: Any, evaluation: Any) -> tuple[str, ...]:
        own = courses.earlier_keys(net, instance, evaluation)
        return (*own, *(key for key, one in net.evaluations.items() if one.until < evaluation.until and key not in own))

    patch.setattr(settling, "earlier_keys", of_all)


@plant(scenarios.grows_longer)
def a_shorter_job_goes_on_from_a_longer_one(patch: Patch) -> None:
    patch.setattr(courses, "is_within", lambda shorter, longer: True)


@plant(scenarios.is_forced_and_grows_longer)
def what_was_struck_out_is_gone_on_from(patch: Patch) -> None:
    struck = network.Network._struck

    def in_part(self: Any, fact: f.Struck) -> None:
        before = dict(self.courses)
        struck(self, fact)
        self.courses.update({course: {**before[course], 1: list(self.evaluations)} for course in before})

    patch.setitem(network._DO, f.Struck, in_part)


@plant(scenarios.back_and_forth)
def an_earlier_key_does_not_return(patch: Patch) -> None:
    describe_key = evaluating.describe_key

    def never_again(schema: Any, instance: Any, description: Any) -> str:
        return f"{describe_key(schema, instance, description)}{instance.touched}"

    patch.setattr(evaluating, "describe_key", never_again)


@plant(scenarios.through_a_border)
def what_is_set_at_a_border_does_not_arrive(patch: Patch) -> None:
    def stop_at_borders(net: Any, place: Any) -> Any:
        if net.instances[place.instance].function.kind == "network":
            return iter(())
        return views.readers_of(net, place)

    patch.setattr(transaction, "readers_of", stop_at_borders)


@plant(scenarios.half_a_transaction)
def a_refused_transaction_is_applied_in_part(patch: Patch) -> None:
    roll_back = network.Network.roll_back
    patch.setattr(network.Network, "roll_back", lambda self, mark: roll_back(self, max(mark, len(self.journal) - 3)))


@plant(scenarios.half_a_transaction)
def a_roll_back_forgets_what_is_derived(patch: Patch) -> None:
    patch.setattr(network.Network, "derive", lambda self, target, name, value: setattr(target, name, value))


@plant(scenarios.a_late_description)
def a_description_for_outdated_inputs_is_taken(patch: Patch) -> None:
    def take_all(tx: Any, instance: Any, seen: int, description: Any, error: str) -> None:
        instance.in_flight = 0
        key = evaluating.describe_key(instance.function, instance, description)
        evaluating.take(tx, instance, key, description)

    patch.setattr(engine, "described", take_all)


@plant(scenarios.a_child_ends)
def the_end_of_a_child_is_not_told(patch: Patch) -> None:
    end = network.Network._ended

    def quietly(self: Any, fact: f.Ended) -> None:
        end(self, fact)
        self.instances[fact.id].ended = 0

    patch.setitem(network._DO, f.Ended, quietly)


@plant(scenarios.a_child_ends)
def a_controller_is_not_called_when_a_child_ends(patch: Patch) -> None:
    touch = transaction.Transaction.touch

    def deaf(self: Any, instance: Any, is_input: bool = True) -> None:
        if instance.function.kind != "controller" or not instance.seen:
            touch(self, instance, is_input)

    patch.setattr(transaction.Transaction, "touch", deaf)


@plant(scenarios.is_held_while_it_ends)
def the_end_of_a_held_child_is_forgotten(patch: Patch) -> None:
    patch.setattr(settling, "why_held", lambda *_: "")


@plant(scenarios.a_source_is_remade)
def a_blocked_job_is_not_freed(patch: Patch) -> None:
    def only_block(key: str, why: str, needs: int) -> transaction.Effect:
        return transaction.BlockJob(key, why or "still", needs)

    patch.setattr(settling, "BlockJob", only_block)


@plant(scenarios.a_source_is_remade)
def a_job_is_not_blocked_while_its_input_is_remade(patch: Patch) -> None:
    patch.setattr(settling, "what_blocks", lambda *_: ("", 0))


@plant(scenarios.crashes)
def the_log_leaves_a_fact_out(patch: Patch) -> None:
    def forget(net: Any, data: bytes) -> None:
        record = f.decode_record(data)
        kept = tuple(fact for fact in record.facts if not isinstance(fact, f.HeldByController))
        net.replay(
            f.Record(record.seq, record.time, record.actor, record.cause, record.previous, kept), engine.hash_record(data)
        )

    patch.setattr(engine, "fold", forget)


@plant(scenarios.crashes)
def a_crash_forgets_what_is_still_to_be_done(patch: Patch) -> None:
    patch.setattr(engine, "resume", lambda tx: None)


@plant(scenarios.crashes)
def a_fact_depends_on_what_is_derived(patch: Patch) -> None:
    took = network.Network._took

    def by_touch(self: Any, fact: f.Took) -> None:
        took(self, fact)
        self.instances[fact.id].key_seen = self.instances[fact.id].touched

    patch.setitem(network._DO, f.Took, by_touch)


@plant(scenarios.two_share_a_job)
def only_the_maker_gets_the_result_of_a_shared_job(patch: Patch) -> None:
    patch.setattr(evaluating, "can_stand", lambda net, one: net.evaluations.get(one.key) is not None
                  and net.evaluations[one.key].instance == one.id and net.evaluations[one.key].state == "done")  # fmt: skip


@plant(scenarios.two_share_a_job)
def a_shared_evaluation_has_two_jobs(patch: Patch) -> None:
    def for_each(schema: Any, instance: Any, description: Any) -> str:
        return evaluating.hash_of([description.argv, instance.id])

    patch.setattr(evaluating, "describe_key", for_each)


@plant(scenarios.a_bad_answer)
def an_answer_that_is_not_applied_stops_a_job(patch: Patch) -> None:
    roll_back = transaction.Transaction.roll_back
    patch.setattr(
        transaction.Transaction, "roll_back", lambda self, mark: roll_back(self, (*mark[:3], len(self.effects), mark[4]))
    )


@plant(scenarios.shrinks_and_grows)
def a_retired_index_keeps_its_job(patch: Patch) -> None:
    patch.setattr(evaluating, "is_retired_within", status.is_retired)


@plant(scenarios.shrinks_and_grows)
def the_count_of_busy_children_is_off_by_one(patch: Patch) -> None:
    refresh = settling.refresh_busy

    def miscount(net: Any, instance: Any) -> Any:
        flipped = refresh(net, instance)
        if flipped and not flipped[-1].is_busy:
            net.instances[flipped[-1].parent].busy_children += 1
        return flipped

    patch.setattr(settling, "refresh_busy", miscount)


@plant(scenarios.a_circle)
def a_circle_is_accepted(patch: Patch) -> None:
    patch.setattr(building, "_refuse_circle", lambda *_: None)


@plant(scenarios.a_child_ends)
def a_controller_is_called_while_it_is_being_called(patch: Patch) -> None:
    consider = controlling.consider_controller

    def again(tx: Any, instance: Any) -> None:
        instance.in_flight = 0
        consider(tx, instance)
        tx.to_ask[instance.id] = None

    patch.setattr(settling, "consider_controller", again)


@plant(scenarios.undone)
def an_undo_takes_the_result_of_a_job_instead_of_the_edit(patch: Patch) -> None:
    begin = taking_back.Undoing.__init__
    patch.setattr(taking_back.Undoing, "__init__", lambda self, seq: begin(self, seq + 1))


@plant(scenarios.written_since)
def an_undo_writes_over_what_was_written_since(patch: Patch) -> None:
    patch.setattr(taking_back.Undoing, "clash", lambda self: None)


@plant(scenarios.removed_and_back)
def what_comes_back_has_lost_its_result(patch: Patch) -> None:
    patch.setattr(restoring, "_restore_results", lambda tx, before: None)


@plant(scenarios.removed_and_back)
def what_comes_back_is_another_instance(patch: Patch) -> None:
    made = network.Network._made

    def renumbered(self: Any, fact: f.Made) -> None:
        made(self, fact if fact.id >= self.next_id else msgspec.structs.replace(fact, id=self.next_id))

    patch.setitem(network._DO, f.Made, renumbered)


@plant(scenarios.foreseen)
def a_preview_leaves_something_behind(patch: Patch) -> None:
    patch.setattr(watch.Watch, "restore_orders", lambda self: None)


@plant(scenarios.a_child_ends_twice)
def the_difference_that_a_call_tells_is_lost(patch: Patch) -> None:
    note = notebook.Notebook.note

    def forget_outputs(self: Any, controller: Any, id: int, field: Any = "", index: int | None = None) -> None:
        if id == controller.id or not field:
            note(self, controller, id, field, index)

    patch.setattr(notebook.Notebook, "note", forget_outputs)


@plant(scenarios.is_missing_for_a_while)
def a_function_that_is_not_installed_is_asked(patch: Patch) -> None:
    patch.setattr(engine, "adopt_installed", lambda tx: None)
