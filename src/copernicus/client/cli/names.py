"""The names of all commands: where each lives, what else it is called, and what `cpcc -h` says about it."""

from __future__ import annotations

from typing import NamedTuple


class Row(NamedTuple):
    """A command: name, module of this room, name of the command object in it, help in one line."""

    name: str
    module: str
    attribute: str
    help: str


def _rows(module: str, *rows: tuple[str, str]) -> tuple[Row, ...]:
    return tuple(Row(name, module, name.replace("-", "_") + "_command", text) for name, text in rows)


GROUPS: dict[str, tuple[Row, ...]] = {
    "Servers": _rows(
        "servers",
        ("add-server", "Learn to know a server, and use it."),
        ("forget-server", "Forget a server, its certificate and its session."),
        ("list-server", "List the servers that are known here."),
        ("use-server", "Choose the server that commands go to."),
        ("login", "Open a session on the server in use."),
        ("logout", "End the session."),
        ("server-info", "Show who the server is, and who you are to it."),
        ("version", "Show the versions of cpcc and of the server."),
    )
    + _rows(
        "own_server",
        ("ping", "Ask whether the server answers, and how quickly."),
        ("readconf", "Have the server read its settings again."),
        ("audit", "Show who did what: logins, users, access, bundles."),
        ("stop-server", "Stop the server."),
    ),
    "Users": _rows(
        "users",
        ("users", "List the users, or who has access to a project."),
        ("add-user", "Add a user."),
        ("delete-user", "Delete a user."),
        ("promote-user", "Make somebody a super user."),
        ("demote-user", "Make a super user an ordinary one."),
        ("disable-user", "Keep a user out."),
        ("enable-user", "Let a user in again."),
        ("passwd", "Change a password."),
        ("grant-access", "Give a user access to a project."),
        ("revoke-access", "Take a user's access to a project back."),
    ),
    "Bundles": _rows(
        "bundles",
        ("bundles", "List the connection bundles."),
        ("bundle", "Make a connection bundle."),
        ("revoke-bundle", "End a connection bundle for good."),
    ),
    "Projects": (
        *_rows(
            "projects",
            ("projects", "List the projects."),
            ("start", "Make a project, and choose it."),
            ("rm", "Remove a project, with all that is in it."),
            ("rename-project", "Give a project another name."),
            ("project-priority", "Let the jobs of a project go before those of others, or behind."),
            ("cd", "Choose the project that commands are about."),
            ("pwd", "Show the current project."),
        ),
        *_rows(
            "archives",
            ("save", "Save a project as an archive."),
            ("load", "Make a project of an archive."),
            ("save-state", "Say that the state is always saved."),
        ),
        *_rows(
            "holdings",
            ("usage", "Show what a project has cost, and what it holds."),
            ("purge", "Delete earlier versions for good."),
        ),
    ),
    "Look": (
        *_rows(
            "look",
            ("ls", "List instances, or what stands at a path."),
            ("get", "Show the value at a path."),
            ("status", "Show a project in numbers."),
            ("why", "Say why something does not run, or why it failed."),
            ("log", "Show what happened to an instance or a job."),
            ("info", "Describe a module or a function."),
            ("list-modules", "List the modules of the server."),
        ),
        *_rows("fetching", ("getf", "Fetch files.")),
        *_rows("graph", ("graph", "Show how instances are connected (text, dot, svg).")),
        *_rows("watch", ("watch", "Follow a project as it goes on.")),
        *_rows("citations", ("cite", "Say what to cite for the modules in use.")),
        *_rows("past", ("history", "Show the versions of a value, and where it came from.")),
    ),
    "Change": (
        *_rows(
            "change",
            ("import", "Make a module's functions known to the project."),
            ("instance", "Make an instance of a function."),
            ("rm-instance", "Remove an instance."),
            ("rename", "Give an instance another name."),
            ("connect", "Connect an output to an input."),
            ("disconnect", "Remove a connection."),
            ("set", "Set a value."),
            ("setf", "Set a file."),
            ("unset", "Remove a value."),
            ("activate", "Let instances run."),
            ("deactivate", "Hold instances."),
            ("clear-error", "Forget errors, and try again."),
            ("force-rerun", "Do the work of an instance anew."),
        ),
        *_rows("bags", ("run", "Run a program many times, without a workflow.")),
        *_rows(
            "transactions",
            ("transact", "Open a transaction: changes are collected."),
            ("commit", "Make the collected changes, all at once."),
            ("rollback", "Forget the collected changes."),
            ("undo", "Take back a transaction that was committed."),
        ),
        *_rows(
            "workflows",
            ("upload", "Apply a workflow file (YAML or XML)."),
            ("export", "Write the network as a workflow file."),
        ),
    ),
    "Jobs": (
        *_rows(
            "jobs",
            ("queue", "List the jobs that wait for a worker."),
            ("running", "List the jobs that workers have."),
            ("jobs", "List all jobs of a project, ended ones too."),
            ("heartbeats", "List the workers with their jobs, and when each was last heard of."),
            ("workers", "List the workers."),
            ("stop", "Stop a job; its checkpoint stays."),
            ("rerun", "Give a job a fresh start, from its last checkpoint."),
            ("command-failed", "Count the attempt at a job as lost."),
        ),
        *_rows("quarantine", ("quarantine", "Show and choose the hosts whose workers get no jobs.")),
        *_rows(
            "reproducing",
            ("reproduce", "Run something again, and compare what comes out."),
            ("fetch", "Write down all that is needed to run a job anywhere."),
        ),
    ),
    "Network": _rows(
        "network",
        ("connect-server", "Ask another server for a connection."),
        ("connected-servers", "List the other servers, in the order in which they are asked for jobs."),
        ("trust", "Agree to the connection that a server has asked for."),
        ("revoke", "Trust a server no more."),
        ("node-pri", "Set when a server is asked for jobs."),
        ("limit-server", "Limit what is shared with a server."),
        ("network", "Show which servers are connected."),
        ("network-graph", "Write the network to a file for Graphviz."),
    ),
    "Modules": _rows(
        "modules",
        ("new-module", "Write a module of your own that works, to begin with."),
        ("upgrade", "Convert instances to the installed version of a module."),
    ),
    "This program": (
        *_rows("completion", ("completion", "Print the completion script of a shell.")),
        *_rows("doctor", ("doctor", "Look whether commands would reach a server.")),
    ),
}

ALIASES = {
    "p": "projects", "set-default": "cd", "get-default": "pwd", "list": "ls", "get-file": "getf", "s": "status",
    "set-file": "setf", "hold": "deactivate", "q": "queue", "r": "running", "h": "heartbeats",
    "connect-node": "connect-server", "cs": "connected-servers", "list-nodes": "connected-servers", "set-pri": "node-pri",
}  # fmt: skip

_BY_NAME = {row.name: row for rows in GROUPS.values() for row in rows}


def find(name: str) -> Row | None:
    """Return the command called `name`, or by that other name; None when there is none."""
    return _BY_NAME.get(ALIASES.get(name, name))


def near(name: str) -> list[str]:
    """Return up to two names that look like `name`."""
    import difflib

    return difflib.get_close_matches(name, [*_BY_NAME, *ALIASES], n=2)
