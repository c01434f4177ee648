"""Settings: what wins, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from copernicus.config.places import server_folder
from copernicus.config.settings import parse, resolve
from copernicus.errors import SettingsError, UsageError

FILE = Path("settings.json")


def test_flags_beat_the_environment_beats_the_file_beats_the_default() -> None:
    stored = {"heartbeat_time": 30.0, "mode": "debug", "run_dir": "/file"}
    environment = {"CPC_HEARTBEAT_TIME": "40", "CPC_MODE": "trace", "CPC_BUNDLE": "other.cnx", "CPC_IMPORT_PATH": "/a:/b"}
    settings = resolve(stored, FILE, {"heartbeat_time": 50.0, "mode": None}, environment)
    assert (settings.heartbeat_time, settings.mode, settings.run_dir) == (50.0, "trace", "/file")
    assert settings.import_path == ("/a", "/b")
    assert settings.client_secure_port == 14807


@pytest.mark.parametrize(
    ("stored", "environment", "said"),
    [
        ({"hartbeat_time": 3}, {}, "Did you mean heartbeat_time"),
        ({"client_secure_port": "14807"}, {}, "client_secure_port in settings.json"),
        ({"client_secure_port": 0}, {}, "client_secure_port"),
        ({"heartbeat_time": 1.5}, {}, "heartbeat_time"),
        ({"mode": "fast"}, {}, "mode"),
        ({"client_secure_port": 5000, "server_secure_port": 5000}, {}, "both 5000"),
        ({}, {"CPC_SERVER_CORES": "many"}, r"\$CPC_SERVER_CORES"),
    ],
)
def test_what_cannot_be_used_is_named(stored: dict[str, object], environment: dict[str, str], said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        resolve(stored, FILE, environment=environment)


def test_text_becomes_the_type_of_the_setting() -> None:
    assert parse("server_cores", "2") == 2
    assert parse("server_host", "127.0.0.2") == "127.0.0.2"
    with pytest.raises(SettingsError):
        parse("server_cores", "-1")


def test_a_server_open_to_all_is_reached_by_its_name_and_locally_by_loopback() -> None:
    settings = resolve({"server_host": "all", "server_fqdn": "head.example.org"}, FILE, environment={})
    assert (settings.listen_host, settings.local_host, settings.public_host) == (None, "127.0.0.1", "head.example.org")
    assert settings.certificate_names == ["head.example.org", "127.0.0.1", "localhost"]


@pytest.mark.parametrize("name", ["..", "a/b", "a\0b"])
def test_a_servers_name_is_no_path(name: str) -> None:
    with pytest.raises(UsageError):
        server_folder(name, {"CPC_CONF_HOME": "/home/x"})
