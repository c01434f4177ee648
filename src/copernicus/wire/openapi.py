"""The OpenAPI document of a server, made of the endpoint table and the message types: it cannot say anything else."""

from __future__ import annotations

from typing import Any

import msgspec

from copernicus.errors import BY_CODE
from copernicus.model.secret import Secret
from copernicus.wire.endpoints import BESIDE, ENDPOINTS, PROTOCOL, Endpoint, Policy
from copernicus.wire.message import ErrorReply

_JSON = "application/json"
_SECURITY: dict[Policy, list[dict[str, list[str]]]] = {
    Policy.ANYONE: [],
    Policy.WORKER: [{"bundle": []}],
    Policy.BUNDLE: [{"bundle": []}],
    Policy.PEER: [{"bundle": []}],
}
_EITHER: list[dict[str, list[str]]] = [{"session": []}, {"bundle": []}]


def document(version: str) -> dict[str, Any]:
    """Return the document (OpenAPI 3.1) as plain data; `version` is that of the program."""
    kinds: list[Any] = [ErrorReply]
    for endpoint in ENDPOINTS:
        kinds += [endpoint.request, endpoint.reply]
    unique = list(dict.fromkeys(kinds))
    schemas, components = msgspec.json.schema_components(
        unique, schema_hook=_secret, ref_template="#/components/schemas/{name}"
    )  # fmt: skip
    of = dict(zip(unique, schemas, strict=True))
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Copernicus server",
            "version": version,
            "description": f"Version {PROTOCOL} of the protocol. Every message is a POST with a JSON body, over TLS 1.3. "
            "The client port knows its callers by the token of a session, the secure port by the certificate of a bundle.",
        },
        "paths": {endpoint.path: {"post": _operation(endpoint, of)} for endpoint in ENDPOINTS} | _beside(of[ErrorReply]),
        "components": {
            "schemas": components,
            "securitySchemes": {
                "session": {"type": "http", "scheme": "bearer", "description": "What login answers; client port."},
                "bundle": {"type": "mutualTLS", "description": "A connection bundle's certificate; secure port."},
            },
        },
    }


def _secret(kind: type) -> dict[str, Any]:
    if kind is Secret:
        return {"type": "string", "format": "password"}
    raise NotImplementedError(kind)


def _operation(endpoint: Endpoint, of: dict[Any, dict[str, Any]]) -> dict[str, Any]:
    summary = (endpoint.request.__doc__ or "").strip()
    return {
        "operationId": endpoint.name.replace("/", "_").replace("-", "_"),
        "summary": summary.splitlines()[0] if summary else endpoint.name,
        "description": f"For {endpoint.policy.value}.",
        "security": _SECURITY.get(endpoint.policy, _EITHER),
        "requestBody": {"required": True, "content": {_JSON: {"schema": of[endpoint.request]}}},
        "responses": {
            "200": {"description": "Done", "content": {_JSON: {"schema": of[endpoint.reply]}}},
            "default": _error(of[ErrorReply]),
        },
    }


def _beside(error: dict[str, Any]) -> dict[str, Any]:
    paths: dict[str, Any] = {}
    for row in BESIDE:
        path = row.prefix + "{name}" if row.prefix.endswith("/") else row.prefix
        operation: dict[str, Any] = {
            "description": f"For {row.policy.value}. What goes over it is described in copernicus.wire.endpoints.",
            "security": _SECURITY.get(row.policy, _EITHER),
            "responses": {"default": _error(error)},
        }
        if row.prefix.endswith("/"):
            operation["parameters"] = [{"name": "name", "in": "path", "required": True, "schema": {"type": "string"}}]
        paths.setdefault(path, {})[row.method.lower()] = operation
    return paths


def _error(schema: dict[str, Any]) -> dict[str, Any]:
    codes = ", ".join(f"{kind.status} {code}" for code, kind in sorted(BY_CODE.items()))
    return {"description": f"An error, by status and code: {codes}", "content": {_JSON: {"schema": schema}}}
