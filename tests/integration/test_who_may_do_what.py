"""The whole matrix of access: every route × every kind of caller × an own, a foreign and a missing project, on a real server.

What is expected stands here a second time, as a table of its own. A route without a row in the endpoint table does not
exist, a policy without a row here fails. Kinds of callers are added to `Callers`, with what they may do to `MAY`.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import msgspec
import pytest
from tests.integration.standing import PASSWORD, Standing, offer

from copernicus.errors import CertificateRefused, CopernicusError, Unreachable
from copernicus.model.secret import Secret
from copernicus.model.values import FileRef
from copernicus.net.bundle import Bundle
from copernicus.net.caller import Caller
from copernicus.server.access.bundles import Address, Bundles
from copernicus.wire import messages as m
from copernicus.wire.codec import decode, encode
from copernicus.wire.endpoints import BESIDE, ENDPOINTS, PREFIX, Beside, Endpoint, Policy

OWN, FOREIGN, MISSING = "ours", "theirs", "absent"
OBJECTS = (OWN, FOREIGN, MISSING)
NOBODY = {"anonymous", "wrong token", "disabled user", "revoked bundle", "expired bundle", "deleted user's bundle"}
USERS = {"outsider", "member", "owner", "super user"}
CLIENTS = {"client bundle", "limited client bundle"}
WORKERS = {"worker in scope", "worker out of scope"}
ADMINS = {"admin bundle", "limited admin bundle"}
EVERYBODY = USERS | CLIENTS | WORKERS | ADMINS

# Whom each policy lets in, whatever the request is about; everybody else who is somebody is refused with 403.
MAY = {
    Policy.ANYONE: EVERYBODY,
    Policy.USER: USERS | CLIENTS | ADMINS,
    Policy.MEMBER: USERS | CLIENTS | ADMINS,
    Policy.WORKER: WORKERS | ADMINS,
    Policy.BUNDLE: CLIENTS | WORKERS | ADMINS,
    Policy.ANY_BUNDLE_OR_USER: EVERYBODY,
    Policy.SUPER: {"super user", "admin bundle"},
    Policy.PEER: set(),  # peers speak over their links: tests/integration/test_peers.py
}
# Who sees which project; whatever is not seen is answered like what is not there.
SEES = {OWN: EVERYBODY - {"outsider", "worker out of scope", "limited client bundle"}, FOREIGN: {"super user", "admin bundle"}}
# What an allowed request would end for all that come after it; each is tried where it is at home.
ENDS_THE_SERVER = {"server/stop"}  # tests/acceptance/test_bad_setup.py, test_server_program.py
ENDS_SESSIONS = {"logout"}
# Refusals that come after the policy, and are tried elsewhere.
OWN_RULES = ("User name or password is wrong", "Logins go to the client port", "This bundle is for these projects only")
ENDS_THE_PROJECT = {"project/remove", "project/rename"}


class Answer(NamedTuple):
    """What came: the HTTP status (0: the connection was cut), the code and the text of an error."""

    status: int
    code: str = ""
    text: str = ""


class Callers:
    """One server, and somebody of each kind. `OWN` belongs to owner and member, `FOREIGN` to a stranger."""

    def __init__(self, standing: Standing) -> None:
        self.standing = standing
        self.counter = itertools.count()
        root, owner, member, stranger = (standing.user(name) for name in ("root", "owner", "member", "stranger"))
        owner.call(m.StartProjectRequest(OWN, "o"))
        owner.call(m.GrantAccessRequest(OWN, "member"))
        stranger.call(m.StartProjectRequest(FOREIGN, "f"))
        disabled, gone = standing.user("disabled"), standing.user("gone")
        gone_bundle, revoked = standing.bundle("client", "gone"), standing.bundle("admin")
        gone.close()
        root.call(m.ChangeUserRequest("disabled", "disable"))
        root.call(m.DeleteUserRequest("gone"))
        root.call(m.RevokeBundleRequest(revoked.serial))
        wrong = standing.nobody()
        wrong.token = "x" * 43
        self.of: dict[str, Caller] = {
            "anonymous": standing.nobody(),
            "wrong token": wrong,
            "disabled user": disabled,
            "revoked bundle": Caller.of_bundle(revoked),
            "expired bundle": Caller.of_bundle(self.expired()),
            "deleted user's bundle": Caller.of_bundle(gone_bundle),
            "outsider": standing.user("outsider"),
            "member": member,
            "owner": owner,
            "super user": root,
            "client bundle": standing.caller("client", "owner"),
            "limited client bundle": standing.caller("client", "owner", ("elsewhere",)),
            "worker in scope": standing.caller("worker", projects=(OWN,)),
            "worker out of scope": standing.caller("worker", projects=("elsewhere",)),
            "admin bundle": standing.caller("admin"),
            "limited admin bundle": standing.caller("admin", projects=(OWN,)),
        }

    def expired(self) -> Bundle:
        """A bundle whose time was over yesterday, in the book and in its certificate."""
        address = Address("test", ("127.0.0.1",), self.standing.client_port, self.standing.secure_port)
        issuer = Bundles(self.standing.access, self.standing.keys, lambda: time.time() - 2 * 86400)
        return issuer.issue(address, "admin", "root", days=1.0)

    def fresh(self, who: str) -> Caller:
        """The same kind of caller, with a session of its own that may end."""
        names = {"outsider": "outsider", "member": "member", "owner": "owner", "super user": "root"}
        return self.standing.user(names[who]) if who in names else self.of[who]

    def scratch(self) -> str:
        """A project that whoever sees `OWN` sees, to be thrown away."""
        name = f"scratch-{next(self.counter)}"
        owner = self.of["owner"]
        owner.call(m.StartProjectRequest(name, name))
        owner.call(m.GrantAccessRequest(name, "member"))
        return name


@pytest.fixture(scope="module")
def callers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callers]:
    standing = Standing(tmp_path_factory.mktemp("who"))
    try:
        standing.start()
        yield Callers(standing)
    finally:
        standing.close()


def ask(caller: Caller, method: str, target: str, body: bytes = b"", headers: dict[str, str] | None = None) -> Answer:
    try:
        response = caller.exchange(method, target, body, headers or {})
    except (CertificateRefused, Unreachable):
        return Answer(0)
    content = response.read()
    if response.status < 300:
        return Answer(response.status)
    said = decode(content, m.ErrorReply)
    return Answer(response.status, said.code, said.message)


def sample(endpoint: Endpoint, project: str, who: str) -> m.Message:
    """Some request for an endpoint, about `project` where it names one, harmless where it is allowed."""
    values: dict[str, Any] = {}
    given: dict[str, Any] = {
        "offer": offer(f"the {who}").offer,
        "worker": f"the {who}",
        "edits": [],
        "blobs": [],
        "data": b"-",
        "change": "enable",
    }
    by_type: dict[Any, Any] = {
        int: 0, float: 0.0, bool: False, bytes: b"-", FileRef: FileRef("0" * 64, 0), Secret: Secret(PASSWORD),
    }  # fmt: skip
    for field in msgspec.structs.fields(endpoint.request):
        if field.name == "project":
            values["project"] = project
        elif field.name == "name":
            values["name"] = project if endpoint.name in ("project/remove", "info") else f"nothing-{time.monotonic_ns()}"
        elif field.name == "current":
            values["current"] = Secret(PASSWORD)
        elif field.required:
            values[field.name] = given.get(field.name, by_type.get(field.type, "nothing"))
    values.update({name: 0 for name in ("free_cores", "most_jobs") if name in endpoint.request.__struct_fields__})
    if endpoint.name == "user/password":
        values |= {"name": "", "password": Secret("short")}  # refused after the policy: the sessions go on
    return endpoint.request(**values)


def judge(policy: Policy, who: str, project: str | None, answer: Answer) -> str:
    """What is wrong with an answer, "" when it is as it should be. `project` None: the request names none."""
    if who in NOBODY:
        if policy is Policy.ANYONE and who == "anonymous":
            return "" if answer.status not in (0, 403) else f"shut out of what is open to anyone: {answer}"
        return "" if answer.status in (0, 401) else f"let in: {answer}"
    if who not in MAY[policy]:
        return "" if answer == Answer(403, "not_allowed", answer.text) else f"not refused: {answer}"
    if answer.status in (0, 401, 403) and not answer.text.startswith(OWN_RULES):
        return f"refused: {answer}"
    hides = answer.status == 404 and answer.text == f"There is no project {project!r}."
    if policy is not Policy.MEMBER or project is None:
        return ""
    is_seen = who in SEES.get(OWN if project.startswith("scratch") else project, ())
    if is_seen:
        return "" if not hides else "does not see its own"
    return "" if hides else f"tells of a project that it may not see: {answer}"


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda endpoint: endpoint.name)
def test_every_route_for_every_caller_and_project(callers: Callers, endpoint: Endpoint) -> None:
    wrong = []
    fields = endpoint.request.__struct_fields__
    names_project = "project" in fields or endpoint.name == "project/remove"
    for who, project in itertools.product(callers.of, OBJECTS if names_project else (None,)):
        is_allowed = who in MAY[endpoint.policy]
        if endpoint.name in ENDS_THE_SERVER and is_allowed:
            continue
        if endpoint.name in ENDS_THE_PROJECT and is_allowed and project in SEES and who in SEES[project]:
            project = callers.scratch() if "limited" not in who else MISSING
        ends_session = endpoint.name in ENDS_SESSIONS and is_allowed
        caller = callers.fresh(who) if ends_session else callers.of[who]
        answer = ask(caller, "POST", endpoint.path, encode(sample(endpoint, project or "nothing", who)))
        why = judge(endpoint.policy, who, project, answer)
        if why:
            wrong.append(f"{who}, {project}: {why}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("beside", BESIDE, ids=lambda beside: f"{beside.method} {beside.prefix}")
def test_every_route_beside_the_table(callers: Callers, beside: Beside) -> None:
    wrong = []
    is_about_project = beside.policy is Policy.MEMBER
    for who, project in itertools.product(callers.of, OBJECTS if is_about_project else (None,)):
        name = project or ("0" * 64 if beside.prefix.endswith("blobs/") else "")
        target = f"{beside.prefix}{name}{'?size=1' if beside.method == 'PATCH' else ''}"
        answer = ask(callers.of[who], beside.method, target, headers={"Upload-Offset": "0"})
        why = judge(beside.policy, who, project, answer)
        if why:
            wrong.append(f"{who}, {project}: {why}")
    assert not wrong, "\n".join(wrong)


# Routes that take any user, and a project besides.
BESIDES: dict[str, Callable[[str], m.Message]] = {
    "queue": m.QueueRequest,
    "running": m.RunningRequest,
    "info": lambda project: m.InfoRequest("project", project),
    "bundle": lambda project: m.IssueBundleRequest("client", [project]),
    "announce": lambda project: m.AnnounceRequest(msgspec.structs.replace(offer(f"to {project}").offer, project=project)),
}


@pytest.mark.parametrize("what", BESIDES)
def test_a_foreign_project_looks_like_none_wherever_it_is_named(callers: Callers, what: str) -> None:
    insiders = {"worker in scope"} if what == "announce" else {"member", "owner", "client bundle"}
    outsiders = {"worker out of scope"} if what == "announce" else {"outsider", "limited client bundle"}
    for who in insiders | outsiders:
        caller = callers.of[who]
        said = {}
        for project in OBJECTS:
            try:
                caller.call(BESIDES[what](project))  # type: ignore[call-overload]
                said[project] = ""
            except CopernicusError as error:
                said[project] = f"{error.code} {error}".replace(project, "…")
        assert said[FOREIGN] == said[MISSING] != "", who
        assert said[OWN] == ("" if who in insiders else said[MISSING]), who


def test_every_policy_stands_in_the_matrix() -> None:
    assert set(MAY) == set(Policy)


def test_nothing_else_answers(callers: Callers) -> None:
    root = callers.of["super user"]
    for method, target in (
        ("GET", PREFIX), ("GET", "/"), ("POST", "/v1/debug"), ("GET", "/v1/projects"), ("PUT", "/v1/blobs/" + "0" * 64),
        ("DELETE", "/v1/archives/ours"), ("POST", "/v1//projects"), ("POST", "/v1/projects/../login"), ("GET", "/metrics"),
        ("GET", "/v1/metricsx"), ("GET", "/v1/linked"),
    ):  # fmt: skip
        assert ask(root, method, target).status == 404, (method, target)
