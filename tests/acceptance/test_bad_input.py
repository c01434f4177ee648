"""Bad input to projects: each gets one clear line on stderr and a status that is not 0, and changes nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from tests.acceptance.refusals import as_a_person, fault, furnish, standing, try_all

from copernicus.testing.system import System

LONG = "x" * 500

PATHS = [
    ("cpcc ls nope", "There is no instance 'nope'"),
    ("cpcc ls p:nope", "There are: child_0"),
    ("cpcc ls p:child_0:in.nope", "has no field 'nope'"),
    ("cpcc ls :::", "is not a path"),
    ("cpcc ls 'a:in.numbers[x]'", "is not a path"),
    ("cpcc ls 'a:in.numbers[2]'", "the array has 2 elements"),
    ("cpcc get nope:in.x", "There is no instance 'nope'"),
    ("cpcc get a:in.nope", "It has: count, ratio"),
    ("cpcc get a:out.nope", "It has: c, words"),
    ("cpcc get a:in.count.x", "not a record"),
    ("cpcc get 'a:in.count[0]'", "not an array"),
    ("cpcc get 'a:in.numbers[7]'", "the array has 2 elements"),
    ("cpcc get 'a:in.settings[5].name'", "the array has 0 elements"),
    ("cpcc get 'a:in.settings[0].nope'", "has no member 'nope'"),
    ("cpcc get 'a:in.numbers[+]'", "stands for an element that is to be added"),
    ("cpcc get a", "does not name a value"),
    ("cpcc get ''", "does not name a value"),
    ("cpcc getf a:in.count", "not a file"),
    ("cpcc getf a:in.numbers", "not a file"),
    ("cpcc getf a:in.count b:in.nope", "not a file"),
    ("cpcc get --staged a:in.count", "No transaction is open"),
    ("cpcc graph nope", "There is no instance"),
    ("cpcc graph a:in", "only instances have a graph"),
    ("cpcc graph --dot --svg", "One of --dot and --svg is enough"),
    ("cpcc watch nope", "There is no instance"),
    ("cpcc watch :::", "is not a path"),
    ("cpcc cite -p nope", "There is no project 'nope'"),
    ("cpcc ping nope", "knows no server 'nope'"),
    ("cpcc ping -n 0", "0 is not in the range"),
    ("cpcc connect-server '..'", "is no host name"),
    ("cpcc connect-server 127.0.0.1 1", "No Copernicus server answers"),
    ("cpcc connect-server 127.0.0.1 70000", "70000 is not in the range"),
    ("cpcc trust", "Say which servers"),
    ("cpcc trust ffffffffff", "knows no server"),
    ("cpcc trust -all ffffffffff", "Say which servers"),
    ("cpcc revoke nope", "knows no server 'nope'"),
    ("cpcc node-pri -1 nope", "-1"),
    ("cpcc limit-server ffffffffff", "knows no server"),
    ("cpcc limit-server ffffffffff --share nope", "There is no project 'nope'"),
    ("cpcc limit-server ffffffffff --share first --share-nothing", "contradict each other"),
    ("cpcc limit-server ffffffffff --cores -1", "-1"),
    ("cpcc node-pri 1 nope", "no server at nope"),
    ("cpcc network-graph nowhere/x.dot", "cannot be written"),
    ("cpcc getf a:in.file", "There is no file"),
    ("cpcc getf a:in.nope", "has no field"),
    ("cpcc why nope", "There is no instance"),
    ("cpcc why 99999", "There is no job 99999"),
    ("cpcc history nope", "There is no instance"),
    ("cpcc history a:in.nope", "has no field 'nope'"),
    ("cpcc history 'a:in.numbers[2]'", "the array has 2 elements"),
    ("cpcc history ''", "needs the path"),
    ("cpcc history 'a:in.numbers[+]'", "stands for an element that is to be added"),
    ("cpcc history -n 0 a:in.count", "0 is not in the range"),
    ("cpcc history -n x a:in.count", "is not a whole number"),
    ("cpcc history -n 2 --all a:in.count", "contradict each other"),
    ("cpcc history --from --all a:in.count", "as it stands"),
    ("cpcc history --from a", "does not name a value"),
    ("cpcc history --from nope:in.x", "There is no instance"),
    ("cpcc get -v nope:in.x", "There is no instance"),
    ("cpcc log nope", "There is no instance"),
    ("cpcc log 99999", "There is no job 99999"),
    ("cpcc log -n 0 a", "0 is not in the range"),
    ("cpcc log -n x a", "is not a whole number"),
    ("cpcc why a:in.nope", "has no field 'nope'"),
    ("cpcc why 'a:in.numbers[2]'", "the array has 2 elements"),
    ("cpcc log " + "9" * 5000, "There is no job 999"),
    ("cpcc getf --partial 99999/stdout", "There is no job 99999"),
    ("cpcc getf --partial nope/stdout", "There is no instance"),
    ("cpcc getf --partial a/stdout", "There is no job of a"),
    ("cpcc getf --partial 99999/", "There is no job 99999"),
    ("cpcc getf --partial a:in.file", "is no output of a command"),
    ("cpcc getf --partial add:out.c", "is no output of a command"),
    ("cpcc getf --partial a", "does not name a value"),
    ("cpcc log -f", "Say which job"),
    ("cpcc log -f 99999", "There is no job 99999"),
    ("cpcc log -f nope", "There is no instance"),
    ("cpcc log -f a:in.count", "only jobs can be followed"),
    ("cpcc log -f a", "There is no job of a to follow"),
    ("cpcc jobs nope", "There is no instance"),
    ("cpcc jobs --state odd", "'odd' is not one of"),
    ("cpcc jobs --before 0", "not in the range"),
    ("cpcc heartbeats -p nope", "There is no project 'nope'"),
    ("cpcc stop 99999", "There is no job 99999"),
    ("cpcc stop a", "is not a whole number"),
    ("cpcc stop -p nope 1", "There is no project 'nope'"),
    ("cpcc rerun 99999", "There is no job 99999"),
    ("cpcc rerun ''", "is not a whole number"),
    ("cpcc command-failed 99999", "There is no job 99999"),
    ("cpcc quarantine", "Missing argument"),
    ("cpcc quarantine nope", "is not one of"),
    ("cpcc quarantine list x", "takes nothing more"),
    ("cpcc quarantine add", "Which worker?"),
    ("cpcc quarantine add nobody", "No worker or host is called nobody"),
    ("cpcc quarantine release nobody", "No worker or host is called nobody"),
    ("cpcc quarantine release nobody --why x", "--why goes with add"),
    ("cpcc command-failed 0", "not in the range"),
    ("cpcc deactivate --now nope", "There is no instance"),
    ("cpcc set nope:in.x 1", "There is no instance"),
    ("cpcc set a:in.nope 1", "has no field"),
    ("cpcc set a:in 1", "does not name a value"),
    ("cpcc set '' 1", "does not name a value"),
    ("cpcc set 'a:in.numbers[-1]' 1", "is not a path"),
    ("cpcc set 'a:in.numbers[2000000]' 1", "at most"),
    ("cpcc unset a:in.nope", "has no field"),
    ("cpcc unset a:in.count", "is not set"),
    ("cpcc unset 'a:in.numbers[5]'", "is not set"),
    ("cpcc set a:in.nope 1 --preview", "has no field"),
    ("cpcc rm-instance nope --preview", "There is no instance"),
    ("cpcc commit --preview", "No transaction is open"),
    ("cpcc undo 99999", "There is no transaction 99999"),
    ("cpcc undo 0", "0 is not in the range"),
    ("cpcc undo text", "is not a whole number"),
    ("cpcc undo --preview 99999", "There is no transaction 99999"),
    ("cpcc activate nope", "There is no instance"),
    ("cpcc deactivate nope", "There is no instance"),
    ("cpcc clear-error nope", "There is no instance"),
    ("cpcc force-rerun nope", "There is no instance"),
    ("cpcc rm-instance nope", "There is no instance"),
    ("cpcc rm-instance ''", "is empty"),
    ("cpcc rename nope other", "There is no instance"),
    ("cpcc rename '' other", "is empty"),
    ("cpcc rename a 'x y'", "cannot be a name"),
    ("cpcc disconnect b:in.ratio", "Nothing is connected"),
    ("cpcc save nope", "There is no project 'nope'"),
    ("cpcc save first file", "file exists"),
    ("cpcc save first nowhere/x.tar.gz", "cannot be written"),
    ("cpcc load nowhere x", "There is no file"),
    ("cpcc load folder x", "is a folder"),
    ("cpcc load file first", "already a project 'first'"),
    ("cpcc load file ../x", "cannot be a project's name"),
    ("cpcc load file y", "not a whole archive"),
    ("cpcc reproduce nope", "There is no instance"),
    ("cpcc reproduce 99999", "There is no job 99999"),
    ("cpcc reproduce a", "no result yet"),
    ("cpcc reproduce p", "p is a controller"),
    ("cpcc reproduce ''", "does no work"),
    ("cpcc fetch 99999 x", "There is no job 99999"),
    ("cpcc fetch x y", "not the number of a job"),
    ("cpcc fetch 99999999999999999999 y", "not the number of a job"),
    ("cpcc usage nope", "There is no project 'nope'"),
    ("cpcc purge nope", "There is no instance"),
    ("cpcc purge a:in.nope", "has no field"),
    ("cpcc purge ''", "needs the path"),
    ("cpcc purge --all a:out.c", "no input"),
    ("cpcc purge --all a:in.file", "No file stands"),
]
TYPES = [
    ("cpcc set a:in.count text", "'text' is not a whole number"),
    ("cpcc set a:in.count 1.5", "is not a whole number"),
    ("cpcc set a:in.count ''", "is not a whole number"),
    ("cpcc set a:in.count '[1, 2]'", "is not a whole number"),
    ("cpcc set a:in.count 9223372036854775808", "does not fit into 64 bits"),
    ("cpcc set a:in.count -9223372036854775809", "does not fit into 64 bits"),
    ("cpcc set a:in.ratio text", "is not a number"),
    ("cpcc set a:in.ratio '[1.0]'", "is not a number"),
    ("cpcc set a:in.flag maybe", "is not true or false"),
    ("cpcc set a:in.numbers 5", "expected int[]"),
    ("cpcc set a:in.numbers '[1,'", "is not int[] written as JSON"),
    ("""cpcc set a:in.numbers '[1, "x"]'""", "a:in.numbers[1]: expected int"),
    ("cpcc set 'a:in.numbers[+]' x", "is not a whole number"),
    ("""cpcc set 'a:in.settings[0]' '{"name": "x", "valu": 1}'""", "there is no member 'valu'"),
    ("""cpcc set a:in.settings '{"name": "x"}'""", "expected record"),
    ("cpcc set a:in.file file", "Use setf"),
    ("cpcc setf a:in.count file", "Use set:"),
]
FILES = [
    ("cpcc setf a:in.file missing.gro", "There is no file missing.gro"),
    ("cpcc setf a:in.file folder", "folder is a folder"),
    ("cpcc setf a:in.file secret", "cannot be read: Permission denied"),
    ("cpcc setf a:in.file /dev/null", "is no regular file"),
    ("cpcc setf a:in.file ''", "is empty"),
    ("cpcc setf nope:in.file file", "There is no instance"),
    ("cpcc setf a:out.c file", "is an output"),
    ("cpcc getf b:in.file -f closed/x", "closed/x cannot be written: Permission denied"),
    ("cpcc getf b:in.file -f closed", "cannot be written: Permission denied"),
    ("cpcc getf b:in.file -f nowhere/x", "cannot be written: No such file or directory"),
    ("cpcc getf b:in.file", "file exists"),
]
FUNCTIONS_AND_NAMES = [
    ("cpcc import nope", "There is no module 'nope'"),
    ("cpcc new-module 1x", "1x"),
    ("cpcc upgrade nope", "nope"),
    ("cpcc import ''", "There is no module ''"),
    ("cpcc import broken", "SyntaxError"),
    ("cpcc import leaves", "SystemExit: 3"),
    ("cpcc info nope", "There is no module 'nope'"),
    ("cpcc info math::nope", "has no function 'nope'. It has: add"),
    ("cpcc instance math::nope x", "has no function 'nope'"),
    ("cpcc instance nope::nope x", "There is no module 'nope'"),
    ("cpcc instance broken::f x", "functions.py"),
    ("cpcc instance leaves::f x", "functions.py"),
    ("cpcc instance math x", "does not name a function"),
    ("cpcc instance math::add ''", "cannot be a name"),
    ("cpcc instance math::add 'a b'", "cannot be a name"),
    ("cpcc instance math::add 1x", "cannot be a name"),
    ("cpcc instance math::add x:y", "cannot be a name"),
    ("cpcc instance math::add in", "cannot be a name"),
    ("cpcc instance math::add a", "There is already an instance 'a'"),
    (f"cpcc instance math::add {LONG}", "at most 100 characters, not 500"),
    ("cpcc start ''", "cannot be a project's name"),
    ("cpcc start 'a b'", "cannot be a project's name"),
    ("cpcc start ../up", "cannot be a project's name"),
    (f"cpcc start {LONG[:300]}", "at most 100"),
    ("cpcc start first", "There is already a project 'first'"),
    ("cpcc rm nope", "There is no project 'nope'"),
    ("cpcc rename-project nope other", "There is no project 'nope'"),
    ("cpcc rename-project first first", "There is already a project 'first'"),
    ("cpcc rename-project first 'a b'", "cannot be a project's name"),
    ("cpcc project-priority 31", "31 is not in the range -30<=x<=30"),
    ("cpcc project-priority -31 first", "-31 is not in the range"),
    ("cpcc project-priority high", "is not a whole number"),
    ("cpcc project-priority 5 nope", "There is no project 'nope'"),
    ("cpcc cd nope", "There is no project 'nope'. Projects: first"),
    ("cpcc status nope", "There is no project 'nope'"),
    ("cpcc ls -p nope", "There is no project 'nope'"),
    ("cpcc -p '' set a:in.count 1", "is empty"),
    ("cpcc queue -p nope", "There is no project 'nope'"),
    ("cpcc running -p nope", "There is no project 'nope'"),
]
CONNECTIONS_AND_WRITERS = [
    ("cpcc connect add:out.c a:in.count", "float is not int"),
    ("cpcc connect a:out.words b:in.word", "does not fit"),
    ("cpcc connect add:out.c b:in.file", "does not fit"),
    ("cpcc connect add:out.c 'b:in.numbers[+]'", "does not fit"),
    ("cpcc connect add:out.c add:in.a", "close a circle"),
    ("cpcc connect sum:out.c add:in.a", "close a circle"),
    ("cpcc connect add:out.nope b:in.ratio", "has no field 'nope'"),
    ("cpcc connect nope:out.c b:in.ratio", "There is no instance"),
    ("cpcc connect add:out.c nope:in.ratio", "There is no instance"),
    ("cpcc connect add:out.c b:out.c", "is an output"),
    ("cpcc connect a b", "does not name a value"),
    ("cpcc connect b:out.c sum:in.a", "add:out.c is connected to sum:in.a"),
    ("cpcc set sum:in.a 5", "add:out.c is connected to sum:in.a"),
    ("cpcc unset sum:in.a", "add:out.c is connected to sum:in.a"),
    ("cpcc set a:out.c 1", "is an output"),
    ("cpcc set p:state.rounds 5", "a controller's memory"),
    ("cpcc set p:child_0:in.count 5", "was made by the controller p"),
    ("cpcc set db:double_0:in.integer_inputs 5", "Set db:in.integer_inputs[0] instead"),
    ("cpcc connect add:out.c p:child_0:in.ratio", "was made by the controller p"),
    ("cpcc rm-instance p:child_0", "was made by the controller p"),
    ("cpcc rm-instance db:double_0", "is an index of db"),
    ("cpcc rename p:child_0 other", "was made by the controller p"),
    ("cpcc rename p db", "already an instance 'db'"),
]
COMMAND_LINES = [
    ("cpcc nonsense", "There is no command 'nonsense'. All commands: cpcc -h"),
    ("cpcc lss", "Did you mean ls?"),
    ("cpcc -x", "No such option '-x'. See: cpcc -h"),
    ("cpcc ls --nope", "No such option '--nope'. See: cpcc ls -h"),
    ("cpcc ls a b", "unexpected extra argument (b). See: cpcc ls -h"),
    ("cpcc -p", "requires an argument"),
    ("cpcc set a:in.count", "Missing argument 'VALUE'"),
    ("cpcc start", "Missing argument 'NAME'"),
    ("cpcc setf a:in.file", "Missing argument 'FILE'"),
    ("cpcc completion", "Choose from: bash, zsh, fish"),
    ("cpcc completion tcsh", "Invalid value for 'SHELL'"),
    ("cpcc set a:in.word '\udcff'", "half a character"),
    ("cpcc commit", "No transaction is open"),
    ("cpcc rollback", "No transaction is open"),
]


@pytest.fixture(scope="module")
def furnished(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """One server for all tests of this file; none of them may change anything in it."""
    with System(tmp_path_factory.mktemp("refusing")) as system:
        furnish(system)
        system.cpcc("setf", "b:in.file", "file")
        yield system


@pytest.mark.parametrize(
    ("lines", "before"),
    [
        pytest.param(PATHS, [], id="paths"),
        pytest.param(TYPES, [], id="types"),
        pytest.param(FILES, as_a_person(), id="files"),
        pytest.param(FUNCTIONS_AND_NAMES, [], id="functions and names"),
        pytest.param(CONNECTIONS_AND_WRITERS, [], id="connections and writers"),
        pytest.param(COMMAND_LINES, [], id="command lines"),
    ],
)
def test_each_is_refused_in_one_line_and_changes_nothing(
    furnished: System, lines: list[tuple[str, str]], before: list[str]
) -> None:
    was = standing(furnished)
    try_all(furnished, lines, before)
    assert standing(furnished) == was


def test_broken_modules_are_listed_with_their_errors_and_harm_no_other(furnished: System) -> None:
    rows = {row["name"]: row for row in furnished.ask("list-modules")}
    assert "SyntaxError" in rows["broken"]["error"]
    assert "SystemExit" in rows["leaves"]["error"]
    assert not any(row["error"] for name, row in rows.items() if name not in ("broken", "leaves"))
    said = furnished.cpcc("list-modules").stdout
    assert "broken/functions.py" in said
    assert furnished.ask("get", "p:child_0:out.c") == 1.0


def test_an_empty_commit_changes_nothing(furnished: System) -> None:
    was = standing(furnished)
    furnished.cpcc("transact")
    assert furnished.cpcc("commit").stdout == "Nothing changed.\n"
    assert standing(furnished) == was


def test_a_transaction_refuses_at_once_or_as_a_whole_and_stays_open(furnished: System) -> None:
    furnished.cpcc("instance", "math::add", "later")
    was = standing(furnished)
    furnished.cpcc("transact")
    furnished.cpcc("set", "add:in.a", "1")
    furnished.cpcc("set", "later:in.a", "2")
    furnished.cpcc("set", "add:in.b", "3")
    refused = furnished.cpcc("set", "add:in.nope", "4", is_checked=False)
    assert fault(refused, "ERROR: add:in has no field 'nope'") == ""
    with furnished.client() as other:
        other.project("first").remove_instance("later")
    done = furnished.cpcc("commit", is_checked=False)
    assert fault(done, "Edit 2 of 3 is refused, so none was made: There is no instance 'later'") == ""
    with furnished.client() as other:
        other.project("first").instance("math::add", "later")
        assert json.loads(furnished.cpcc("rollback", "--json").stdout)["forgotten"] == 3
        other.project("first").remove_instance("later")
    now = standing(furnished)
    assert now["places"] == was["places"][:-1]
    assert now["files"] == was["files"]
