"""`cpc-server openapi`: what the server's messages look like, for programs in other languages."""

from __future__ import annotations

import json

import click

from copernicus._version import __version__
from copernicus.wire.openapi import document


@click.command()
def openapi() -> None:
    """Print the OpenAPI document of this version: all requests, replies and errors, and who may send what."""
    click.echo(json.dumps(document(__version__), indent=1, sort_keys=True))
