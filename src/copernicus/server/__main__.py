"""`python -m copernicus.server --folder DIR`: run one server until it is told to stop."""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import logging
import os
import signal
import sys
from logging.handlers import RotatingFileHandler
from pathlib import Path

import uvloop

from copernicus.config import settings as server_settings
from copernicus.config.files import make_private_folder
from copernicus.config.places import ServerPlaces
from copernicus.config.settings import ServerSettings
from copernicus.errors import CopernicusError, SettingsError
from copernicus.server.app import Server

LOG_BYTES, LOGS_KEPT = 10 * 1024 * 1024, 5
COLLECT_AFTER = (50_000, 20, 50)
"""Objects made, and rounds, before the garbage collector looks: projects are many objects that stay, and few are in circles."""
_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


def main() -> int:
    """Run the server named on the command line; return its exit status."""
    parser = argparse.ArgumentParser(prog="python -m copernicus.server", description="Run one Copernicus server.")
    parser.add_argument("--folder", type=Path, required=True, help="the server's own folder, made by cpc-server setup")
    folder: Path = parser.parse_args().folder
    os.umask(0o077)
    gc.set_threshold(*COLLECT_AFTER)
    try:
        settings = server_settings.load(folder)
        if not settings.run_dir:
            raise SettingsError("The setting run_dir (PROJECT_DIR) is not set.", "Run: cpc-server setup PROJECT_DIR")
        _log_to(folder, settings)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_serve(Server(folder, settings)))
    except CopernicusError as error:
        if logging.getLogger("copernicus").handlers:
            logging.getLogger("copernicus.server").error("%s", error)
        else:
            print(error, file=sys.stderr)
        return 1
    return 0


class JsonLines(logging.Formatter):
    """Each record as one JSON object: `at` (Unix time), `level`, `name`, `message`, and `trace` of a fault."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        said = {"at": record.created, "level": record.levelname, "name": record.name, "message": record.getMessage()}
        if record.exc_info:
            said["trace"] = self.formatException(record.exc_info)
        return json.dumps(said)


async def _serve(server: Server) -> None:
    loop, stopped = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    await server.start()
    try:
        await stopped.wait()
    finally:
        await server.stop()


def _log_to(folder: Path, settings: ServerSettings) -> None:
    """Log into the server's text log, which starts anew when it is full, and to stderr when that is something else."""
    logs = Path(settings.log_dir) if settings.log_dir else ServerPlaces(folder).logs
    try:
        make_private_folder(logs)
        to_file = RotatingFileHandler(logs / "server.log", maxBytes=LOG_BYTES, backupCount=LOGS_KEPT, encoding="utf-8")
    except OSError as error:
        raise SettingsError(f"The log in {logs} cannot be written: {error.strerror}.") from None
    handlers: list[logging.Handler] = [to_file]
    if not os.path.samestat(os.fstat(sys.stderr.fileno()), (logs / "server.log").stat()):
        handlers.append(logging.StreamHandler())
    logger = logging.getLogger("copernicus")
    for handler in handlers:
        handler.setFormatter(JsonLines() if settings.log_format == "json" else logging.Formatter(_FORMAT))
        logger.addHandler(handler)
    for name in ("asyncio", "aiohttp"):
        logging.getLogger(name).addHandler(to_file)
    logger.setLevel(logging.INFO if settings.mode == "prod" else logging.DEBUG)


if __name__ == "__main__":
    sys.exit(main())
