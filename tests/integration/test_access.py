"""The door, with real SQLite: who is let in, as what, and until when."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace
from tests.integration.small_server import made_keys

from copernicus.errors import NotAuthenticated, Refused, TooMany, UnknownPath, UsageError
from copernicus.net.bundle import Bundle, Role
from copernicus.net.keys import KeyFolder
from copernicus.server.access import passwords
from copernicus.server.access.bundles import Address, Bundles
from copernicus.server.access.door import IDLE_S, SESSION_S, Door, hash_token
from copernicus.server.access.identity import ANONYMOUS
from copernicus.server.access.throttle import FREE_FAILURES
from copernicus.server.access.users import Users
from copernicus.server.storage.sqlite.access import SqliteAccessStore

PASSWORD = "twelve letters or more"
NOW = 1_800_000_000.0
WHERE = Address("here", ("127.0.0.1",), 14807, 13807)


class House:
    """A server's access rooms with a clock that a test moves."""

    def __init__(self, folder: Path) -> None:
        self.now = NOW
        self.path = folder / "access.sqlite"
        self.store = SqliteAccessStore(self.path)
        self.users = Users(self.store, lambda: self.now)
        self.keys: KeyFolder = made_keys(folder / "keys")
        self.bundles = Bundles(self.store, self.keys, lambda: self.now)
        self.door = Door(self.store, lambda: self.now)

    def issue(self, role: Role, user: str, *projects: str) -> Bundle:
        return self.bundles.issue(WHERE, role, user, projects)


@pytest.fixture(autouse=True)
def cheap_hashes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwords, "_hasher", passwords.PasswordHasher(time_cost=1, memory_cost=64, parallelism=1))


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    house = House(tmp_path)
    house.users.add("root", PASSWORD, is_super=True)
    house.users.add("ann", PASSWORD)
    house.store.grant("ann", "folding")
    yield house
    house.store.close()


def test_a_session_from_login_to_logout(house: House) -> None:
    async def scenario() -> None:
        assert await house.door.identify(None, None) is ANONYMOUS
        token, session = await house.door.log_in("ann", PASSWORD, "10.0.0.1")
        assert session.expires_at == NOW + SESSION_S
        ann = await house.door.identify(None, token)
        assert (ann.user, ann.is_super, ann.projects) == ("ann", False, frozenset({"folding"}))
        assert house.store.session(token) is None, "the token itself must not be stored"
        assert house.store.session(hash_token(token)) is not None
        house.store.grant("ann", "binding")
        assert (await house.door.identify(None, token)).may_see("binding")
        house.store.forget_project("folding")
        assert not (await house.door.identify(None, token)).may_see("folding")
        await house.door.log_out(ann)
        with pytest.raises(NotAuthenticated):
            await house.door.identify(None, token)

    asyncio.run(scenario())


def test_sessions_end_when_idle_when_old_and_with_a_new_password(house: House) -> None:
    async def scenario() -> None:
        idle, _ = await house.door.log_in("ann", PASSWORD, "a")
        used, _ = await house.door.log_in("ann", PASSWORD, "a")
        steps = int(SESSION_S / IDLE_S) + 1
        for _ in range(steps - 1):
            house.now += IDLE_S - 1
            await house.door.identify(None, used)
        with pytest.raises(NotAuthenticated):
            await house.door.identify(None, idle)
        house.now = NOW + SESSION_S
        with pytest.raises(NotAuthenticated):
            await house.door.identify(None, used)
        fresh, _ = await house.door.log_in("ann", PASSWORD, "a")
        assert house.store.session(hash_token(used)) is None, "ended sessions must not stay in the book"
        house.users.set_password("ann", PASSWORD + "!")
        with pytest.raises(NotAuthenticated):
            await house.door.identify(None, fresh)

    asyncio.run(scenario())


def test_wrong_logins_look_alike_and_are_slowed_down(house: House) -> None:
    async def scenario() -> None:
        house.store.put_user(replace(house.users.add("dis", PASSWORD), is_disabled=True))
        said = set()
        for user, password in (("ann", "wrong"), ("nobody", PASSWORD), ("dis", PASSWORD), ("ann", "x" * 5000)):
            with pytest.raises(NotAuthenticated) as raised:
                await house.door.log_in(user, password, "10.0.0.2")
            said.add(str(raised.value))
        assert said == {"User name or password is wrong."}
        for _ in range(FREE_FAILURES):
            with pytest.raises(NotAuthenticated):
                await house.door.log_in("root", "wrong", "10.0.0.3")
        for address in ("10.0.0.3", "10.0.0.4"):  # the account waits, wherever one comes from
            with pytest.raises(TooMany, match="too many failed logins"):
                await house.door.log_in("root", PASSWORD, address)
        await house.door.log_in("ann", PASSWORD, "10.0.0.5")

    asyncio.run(scenario())


def test_at_most_two_passwords_are_hashed_at_a_time(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    running, most = 0, 0

    async def counted(verify: object, *arguments: object) -> bool:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        running -= 1
        return False

    async def scenario() -> None:
        check = passwords.PasswordCheck()
        check._dummy = "x"
        monkeypatch.setattr(passwords.asyncio, "to_thread", counted)
        await asyncio.gather(*(check.is_right("p", "h") for _ in range(10)))

    asyncio.run(scenario())
    assert most == passwords.MOST_AT_A_TIME


def test_what_bundles_may_do_stands_in_the_book(house: House) -> None:
    async def scenario() -> None:
        admin = await house.door.identify(house.issue("admin", "root").serial, None)
        assert (admin.role, admin.is_super, admin.projects) == ("admin", True, None)
        limited = await house.door.identify(house.issue("admin", "root", "folding").serial, None)
        assert (limited.is_super, limited.projects) == (False, frozenset({"folding"}))
        client = await house.door.identify(house.issue("client", "ann", "folding", "other").serial, None)
        assert (client.user, client.projects) == ("ann", frozenset({"folding"}))
        worker = await house.door.identify(house.issue("worker", "root").serial, None)
        assert (worker.role, worker.is_super) == ("worker", False)
        assert len({admin.key, limited.key, client.key, worker.key}) == 4
        with pytest.raises(NotAuthenticated, match="unknown here"):
            await house.door.identify("abc", None)

    asyncio.run(scenario())


def test_bundles_end_by_revocation_by_time_and_with_their_user(house: House) -> None:
    async def scenario() -> None:
        revoked, expired, orphan = (house.issue(role, "ann") for role in ("client", "worker", "client"))
        house.bundles.revoke(revoked.serial.upper())
        with pytest.raises(NotAuthenticated, match="revoked"):
            await house.door.identify(revoked.serial, None)
        house.store.remove_user("ann")
        with pytest.raises(NotAuthenticated):
            await house.door.identify(orphan.serial, None)
        house.now = expired.expires_at
        with pytest.raises(NotAuthenticated):
            await house.door.identify(expired.serial, None)
        with pytest.raises(UnknownPath):
            house.bundles.revoke("beef")
        for days in (0, -1, 1e9, float("nan")):
            with pytest.raises(UsageError):
                house.bundles.issue(WHERE, "admin", "root", days=days)

    asyncio.run(scenario())


def test_a_second_process_may_issue_while_the_server_runs(house: House) -> None:
    beside = SqliteAccessStore(house.path)
    made = Bundles(beside, house.keys, lambda: NOW).issue(WHERE, "worker", "root")
    assert asyncio.run(house.door.identify(made.serial, None)).role == "worker"
    house.bundles.revoke(made.serial)
    assert [row.revoked_at for row in beside.bundles()] == [NOW]
    beside.close()
    assert oct(house.path.stat().st_mode & 0o777) == "0o600"


@pytest.mark.parametrize(
    ("name", "password"), [("", PASSWORD), ("a b", PASSWORD), ("-x", PASSWORD), ("eve", "eleven char"), ("eve", "x" * 2000)]
)
def test_bad_names_and_passwords_are_refused(house: House, name: str, password: str) -> None:
    with pytest.raises(UsageError):
        house.users.add(name, password)
    assert house.store.user(name) is None


def test_users_are_not_added_twice_and_know_their_projects(house: House) -> None:
    with pytest.raises(Refused):
        house.users.add("ann", PASSWORD)
    with pytest.raises(UnknownPath):
        house.users.set_password("nobody", PASSWORD)
    house.store.grant("ann", "folding")
    assert house.store.members("folding") == ["ann"]
    house.store.withdraw("ann", "folding")
    assert house.store.grants("ann") == frozenset()
    assert [user.name for user in house.store.users()] == ["ann", "root"]
