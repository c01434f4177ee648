"""Bad input to the commands of users and bundles: refused in one line, with nobody made, changed or removed."""

from __future__ import annotations

from tests.acceptance.refusals import try_all

from copernicus.testing.system import PASSWORD, System


def test_users(system: System) -> None:
    system.setup()
    system.start()
    system.cpcc("start", "first")
    system.cpcc("add-user", "-stdin", "ada", text=PASSWORD + "\n")
    was = system.ask("users")
    refusals = [
        ("cpcc add-user", "Missing argument 'USER'"),
        ("cpcc add-user eve", "Give it on stdin"),
        ("cpcc add-user -stdin eve", "No password was given"),
        ("cpcc delete-user nope", "There is no user 'nope'"),
        ("cpcc delete-user root", "the only super user"),
        ("cpcc promote-user nope", "There is no user 'nope'"),
        ("cpcc demote-user root", "the only super user"),
        ("cpcc disable-user root", "the only super user"),
        ("cpcc enable-user nope", "There is no user 'nope'"),
        ("cpcc passwd", "There is no terminal"),
        ("cpcc passwd -stdin", "No password was given"),
        ("cpcc grant-access nope", "There is no user 'nope'"),
        ("cpcc grant-access -p nope ada", "There is no project 'nope'"),
        ("cpcc grant-access ''", "is empty"),
        ("cpcc revoke-access ada", "has no access to project first"),
        ("cpcc users -p nope", "There is no project 'nope'"),
    ]
    try_all(system, refusals)
    for words, text, said in (
        (("add-user", "-stdin", "eve"), "short\n", "at least 12"),
        (("add-user", "-stdin", "a b"), PASSWORD + "\n", "cannot be a user name"),
        (("add-user", "-stdin", "ada"), PASSWORD + "\n", "There is a user ada already"),
        (("passwd", "-stdin", "nope"), PASSWORD + "\n", "There is no user 'nope'"),
    ):
        done = system.cpcc(*words, text=text, is_checked=False)
        assert (done.returncode, done.stdout, said in done.stderr) == (1, "", True), done.stderr
    assert system.ask("users") == was
    assert system.ask("users", "-p", "first") == []


def test_bundles(system: System) -> None:
    system.setup()
    system.start()
    for words, said in (
        (("bundle", "-o", "client.cnx", "--expires", "soon"), "is not a length of time"),
        (("bundle", "--expires", "0"), "cannot live for 0 days"),
        (("bundle", "-p", "nope"), "There is no project 'nope'"),
        (("bundle", "--user", "nope"), "There is no user 'nope'"),
        (("bundle", "--role", "boss"), "is not one of"),
        (("bundle", "-o", str(system.home / "client.cnx")), "is there already. Somebody may need it"),
        (("bundle", "-o", "nowhere/x.cnx"), "No such file"),
        (("revoke-bundle", "beef"), "There is no bundle beef"),
        (("revoke-bundle",), "Missing argument"),
    ):
        done = system.cpcc(*words, is_checked=False)
        assert (done.returncode in (1, 2), done.stdout, done.stderr.count("\n")) == (True, "", 1), done
        assert said in done.stderr
    assert len(system.ask("bundles")) == 1, "one that could not be written is revoked"
    assert PASSWORD not in system.server_log()
