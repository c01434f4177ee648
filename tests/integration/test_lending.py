"""Servers that lend each other workers: own queue first, exactly once, steered from afar, over several hops."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.integration.connected import connect, id_of, is_linked, row_of, servers, until
from tests.integration.lent import FIRST, Hand, double, output, running
from tests.integration.standing import Standing

from copernicus.errors import NotAllowed
from copernicus.model.jobs import ExecutableOffer, LeasedJob, StagedFile, WorkerOffer
from copernicus.wire import messages as m


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[tuple[Standing, Standing]]:
    """The owner a and the lender b, connected."""
    with servers(tmp_path, "ab") as made:
        connect(made["b"], made["a"])
        yield made["a"], made["b"]


def test_an_idle_worker_of_one_server_does_a_job_of_the_other_at_once(
    pair: tuple[Standing, Standing],
) -> None:
    a, b = pair
    worker = Hand(b)
    taken: list[LeasedJob] = []
    waiting = threading.Thread(target=lambda: taken.extend(worker.ask(9.0)))
    waiting.start()
    until(lambda: any(row.offer.worker.startswith("w@") for row in a.caller().call(m.WorkersRequest()).workers))
    double(a, 21)
    waiting.join(60)
    (job,) = taken
    assert job.job >= FIRST
    assert (job.project, job.path, job.attempt, job.description.argv) == ("p", "d", 1, ("21",))
    (row,) = running(a)
    assert (row.worker, row.hostname, row.attempt) == (f"w@{id_of(b)[:8]}", "here", 1)
    lent = row_of(b, a)
    assert lent is not None
    assert (lent.lent_jobs, lent.lent_cores) == (1, 1)
    assert worker.beat(job, progress="half-way").stop == []
    (why,) = [line for line in a.caller().call(m.WhyRequest("p", str(row.job))).lines if "half-way" in line]
    assert why
    assert worker.report(job, 42) == "accepted"
    until(lambda: output(a) == 42)
    assert worker.report(job, 43) in ("accepted", "stale")
    assert output(a) == 42
    assert running(a) == []


def test_a_server_gives_its_workers_its_own_jobs_first(pair: tuple[Standing, Standing]) -> None:
    a, b = pair
    double(a, 1)
    double(b, 2, "own")
    worker = Hand(b)
    first, second = worker.take(), None
    assert first.path == "own"
    assert first.job < FIRST
    second = worker.take()
    assert second.path == "d"
    assert worker.report(first, 4) == "accepted"
    assert worker.report(second, 2) == "accepted"
    until(lambda: output(a) == 2)
    assert output(b, "own") == 4


def test_peers_are_asked_in_the_order_of_their_priority(tmp_path: Path) -> None:
    with servers(tmp_path, "abc") as made:
        a, b, c = made["a"], made["b"], made["c"]
        connect(b, a)
        connect(b, c)
        b.caller().call(m.PeerPriorityRequest(5, id_of(a)))
        double(a, 1, "at_a")
        double(c, 2, "at_c")
        worker = Hand(b)
        assert [worker.take().path, worker.take().path] == ["at_c", "at_a"]


def test_a_peer_gets_what_is_shared_with_it_and_no_more(pair: tuple[Standing, Standing]) -> None:
    a, b = pair
    double(a, 1, "d", "private")
    double(a, 2, "d", "shared")
    a.caller().call(m.PeerLimitsRequest(id_of(b), ["shared"]))
    b.caller().call(m.PeerLimitsRequest(id_of(a), cores=1))
    worker, other = Hand(b), Hand(b, "other")
    until(lambda: is_linked(a, b) and is_linked(b, a))
    job = worker.take()
    assert job.project == "shared"
    double(a, 3, "e", "shared")
    assert other.ask() == []
    b.caller().call(m.PeerLimitsRequest(id_of(a)))
    assert other.take().path == "e"
    until(lambda: is_linked(a, b) and is_linked(b, a))
    assert Hand(b, "third").ask() == []
    a.caller().call(m.PeerLimitsRequest(id_of(b)))
    assert Hand(b, "fourth").take().project == "private"


def test_a_stopped_job_is_stopped_where_it_runs(pair: tuple[Standing, Standing]) -> None:
    a, b = pair
    double(a, 1)
    worker = Hand(b)
    job = worker.take()
    (row,) = running(a)
    a.caller().call(m.StopJobRequest("p", row.job, "stop"))
    reply = worker.beat(job)
    assert reply.stop == [job.job]
    assert reply.why == {job.job: "stopped"}


def test_what_a_lent_job_prints_is_followed_at_its_owner(pair: tuple[Standing, Standing]) -> None:
    a, b = pair
    double(a, 1)
    worker = Hand(b)
    job = worker.take()
    (row,) = running(a)
    seen: list[m.FollowReply] = []
    following = threading.Thread(
        target=lambda: seen.append(a.caller().call(m.FollowRequest("p", str(row.job), 1, {}, "leased", 25.0)))
    )
    following.start()
    wanted: list[m.Wanted] = []
    until(lambda: wanted or wanted.extend(worker.caller.call(m.StreamRequest("w", wait_s=5.0)).wanted) or wanted)
    assert [(one.job, one.attempt) for one in wanted] == [(job.job, 1)]
    worker.caller.call(m.StreamRequest("w", [m.Piece(job.job, 1, "stdout", 0, b"from afar\n", 10)]))
    following.join(60)
    assert [piece.data for piece in seen[0].pieces] == [b"from afar\n"]


def test_a_result_waits_for_the_link_and_counts_once(pair: tuple[Standing, Standing]) -> None:
    a, b = pair
    double(a, 21)
    worker = Hand(b)
    job = worker.take()
    a.kill()
    until(lambda: not is_linked_here(b, a))
    assert worker.report(job, 42) == "accepted"
    b.kill()
    b.start()
    a.start()
    until(lambda: output(a) == 42)
    (row,) = a.caller().call(m.JobsRequest("p", "d")).jobs
    assert (row.state, row.attempt) == ("done", 1)
    until(lambda: worker.report(job, 43) == "stale")
    assert output(a) == 42


def is_linked_here(server: Standing, other: Standing) -> bool:
    row = row_of(server, other)
    return row is not None and row.is_connected


def test_the_worker_of_a_lender_that_was_killed_goes_on(pair: tuple[Standing, Standing]) -> None:
    a, b = pair
    double(a, 21)
    worker = Hand(b)
    job = worker.take()
    b.kill()
    b.start()
    until(lambda: is_linked(b, a))
    assert worker.beat(job).stop == []
    assert worker.report(job, 42) == "accepted"
    until(lambda: output(a) == 42)


def test_a_revoked_lender_loses_its_jobs_and_they_are_done_elsewhere(pair: tuple[Standing, Standing]) -> None:
    a, b = pair
    double(a, 21)
    lent = Hand(b)
    job = lent.take()
    a.caller().call(m.RevokePeerRequest(id_of(b)))
    until(lambda: running(a) == [])
    own = Hand(a, "own")
    again = own.take()
    assert again.attempt == 2
    until(lambda: lent.beat(job).stop == [job.job])
    lent.report(job, 1)
    assert own.report(again, 42) == "accepted"
    assert output(a) == 42


@pytest.mark.parametrize("ring", [False, True])
def test_a_worker_far_away_does_a_job_through_a_relay(tmp_path: Path, *, ring: bool) -> None:
    with servers(tmp_path, "abc") as made:
        a, b, c = made["a"], made["b"], made["c"]
        connect(b, a)
        connect(c, b)
        if ring:
            connect(c, a)
            c.caller().call(m.PeerPriorityRequest(9, id_of(a)))
        double(a, 21)
        worker = Hand(c)
        job = worker.take()
        (row,) = running(a)
        way = (id_of(c)[:8], id_of(b)[:8])
        assert row.worker == f"w@{way[0]}@{way[1]}"
        assert worker.beat(job, progress="far").stop == []
        assert worker.report(job, 42) == "accepted"
        until(lambda: output(a) == 42)
        until(lambda: all(row.lent_jobs == 0 for row in b.caller().call(m.PeersRequest()).peers))


def test_a_worker_says_nothing_of_servers_and_nobody_speaks_for_anothers(pair: tuple[Standing, Standing]) -> None:
    a, b = pair
    double(a, 1)
    job = Hand(b).take()
    thief = Hand(b, "thief")
    assert thief.report(job, 666) == "stale"
    assert thief.beat(job).stop == [job.job]
    programs = (ExecutableOffer("math/double", "1.0"),)
    offer = WorkerOffer("liar", "here", "smp", 1, programs, via=("f" * 64,))
    b.caller("worker").call(m.AnnounceRequest(offer))
    (row,) = [row for row in b.caller().call(m.WorkersRequest()).workers if row.offer.worker == "liar"]
    assert row.offer.via == ()
    with pytest.raises(NotAllowed):
        a.caller("worker").call(m.HeartbeatRequest(f"w@{id_of(b)[:8]}", []))


def test_a_checkpoint_of_a_lent_job_comes_to_its_owner_and_the_next_attempt_goes_on_from_it(
    pair: tuple[Standing, Standing],
) -> None:
    a, b = pair
    double(a, 21)
    worker = Hand(b)
    job = worker.take()
    state = worker.keep(b"half of it")
    said = m.CheckpointRequest("w", job.job, job.attempt, (StagedFile("state.cpt", state),), number=1)
    assert worker.caller.call(said).verdict == "accepted"
    (row,) = running(a)
    until(lambda: a.caller().call(m.JobRequest("p", row.job)).checkpoint, "it did not come")
    worker.caller.call(m.FarewellRequest("w", "its time is over"))
    again = Hand(a, "own").take()
    assert (again.attempt, [staged.file.blob for staged in again.checkpoint]) == (2, [state.blob])
