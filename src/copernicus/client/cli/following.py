"""What `cpcc log -f` prints: pieces of a running job's files on stdout, what becomes of the job on stderr."""

from __future__ import annotations

import codecs
import sys
from collections.abc import Callable

from copernicus.client.cli.context import Context
from copernicus.client.output import text
from copernicus.errors import UsageError
from copernicus.wire import messages as m


class Printer:
    """Prints pieces as they come, with the file's name where it changes once there is more than one, as `tail -f` does."""

    def __init__(self, write: Callable[[str], None], note: Callable[[str], None]) -> None:
        self._write, self._note = write, note
        self._decoders: dict[str, codecs.IncrementalDecoder] = {}
        self._ends: dict[str, int] = {}
        self._file = "stdout"
        self._is_line_open = False
        self._attempt, self._state = 0, ""

    def take(self, reply: m.FollowReply) -> None:
        """Print what is new in a reply."""
        if reply.attempt != self._attempt:
            self._ends.clear()
            self._decoders.clear()
        if reply.attempt != self._attempt and reply.attempt:
            self._tell(f"job {reply.job} of {reply.path}: attempt {reply.attempt} on {reply.hostname or 'an unknown host'}")
        for piece in reply.pieces:
            self._print(piece)
        is_news = reply.state != self._state and not (reply.state == "leased" or reply.pieces)
        if is_news or reply.is_over:
            why = reply.why.strip().splitlines()
            self._tell(f"job {reply.job} is {reply.state}" + (f": {why[0]}" if why else ""))
        self._attempt, self._state = reply.attempt, reply.state

    def _print(self, piece: m.StreamPiece) -> None:
        if piece.file != self._file:
            self._close_line()
            self._write(f"==> {text.clean(piece.file)} <==\n")
            self._file = piece.file
        missing = piece.offset - self._ends.get(piece.file, 0)
        if missing > 0:
            self._tell(f"{piece.file}: {text.size(missing)} are left out")
        elif missing < 0:
            self._tell(f"{piece.file}: begun anew")
        self._ends[piece.file] = piece.offset + len(piece.data)
        decoder = self._decoders.get(piece.file)
        if decoder is None or missing:
            decoder = self._decoders[piece.file] = codecs.getincrementaldecoder("utf-8")("replace")
        words = decoder.decode(piece.data)
        if words:
            self._write(text.shown(words))
            self._is_line_open = not words.endswith("\n")

    def _tell(self, line: str) -> None:
        self._close_line()
        self._note(text.clean(line))

    def _close_line(self) -> None:
        if self._is_line_open:
            self._write("\n")
            self._is_line_open = False


def show(context: Context, target: str) -> None:
    """Follow a job and print what comes; with --json one object for each piece of news, one a line."""
    if not target:
        raise UsageError("Say which job is to be followed.", "Name it: cpcc log -f JOB, or the path of an instance.")
    printer = Printer(_write, context.note)
    try:
        for reply in context.project.follow(target, lambda why: context.note(f"{why} Waiting for the server.")):
            if context.is_json:
                _write(_line(reply) + "\n")
            else:
                printer.take(reply)
    except BrokenPipeError:  # whoever read it has seen enough
        return


def _write(words: str) -> None:
    sys.stdout.write(words)
    sys.stdout.flush()


def _line(reply: m.FollowReply) -> str:
    import json

    pieces = [
        {"file": piece.file, "offset": piece.offset, "text": piece.data.decode("utf-8", "replace")} for piece in reply.pieces
    ]
    return json.dumps(
        {
            "job": reply.job, "path": reply.path, "attempt": reply.attempt, "state": reply.state, "hostname": reply.hostname,
            "why": reply.why, "is_over": reply.is_over, "pieces": pieces,
        }
    )  # fmt: skip
