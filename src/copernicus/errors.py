"""The error tree.

CopernicusError                 everything that is meant to be shown to a person; never a traceback
├── UsageError                  the request cannot be understood                                    (400 usage)
│   ├── UnknownPath             a path, project, job, module or function that does not exist        (404 unknown)
│   ├── WrongType               a value or a connection that does not fit                           (400 wrong_type)
│   └── TooLarge                beyond a limit on size, depth or count                              (413 too_large)
├── Refused                     understood, and not done: it would break a rule                     (409 refused)
│   └── Conflict                somebody else wrote the same place meanwhile                        (409 conflict)
├── NotAuthenticated            no session, no bundle, wrong password                               (401 not_authenticated)
├── NotAllowed                  known, and not permitted                                            (403 not_allowed)
├── Stale                       a message about an attempt that is no longer the current one        (409 stale)
├── Unavailable                 the server cannot do it now; the same request may be sent again     (503 unavailable)
│   ├── TooMany                 more, or more often, than one caller may                             (429 too_many)
│   ├── NoSpace                 the server's disk is full                                           (507 no_space)
│   └── Unreachable             no connection, or it broke before the answer                        (no answer)
├── CertificateRefused          the other side is not who it should be                              (no answer)
├── BundleNotFound              no connection bundle anywhere                                       (no request)
├── SettingsError               settings that cannot be read, or are not safe to use                (no request)
├── CorruptData                 stored or received bytes that do not match their hash               (500 corrupt)
├── ModuleError                 a workflow module that cannot be loaded or whose code failed        (400 module)
└── InternalError               a fault of Copernicus itself                                        (500 internal)

Each class carries the code under which it travels and the HTTP status; `from_code` is the way back.
A message says what happened and why; `hint` says what to do next.
"""

from __future__ import annotations


class CopernicusError(Exception):
    """Something to tell a person. `str(error)` is the message; `hint`, when not empty, says what to do next."""

    code = "internal"
    status = 500

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".rstrip() if self.hint else self.message


class UsageError(CopernicusError):
    """The request cannot be understood."""

    code, status = "usage", 400


class UnknownPath(UsageError):
    """A path, project, job, module or function that does not exist."""

    code, status = "unknown", 404


class WrongType(UsageError):
    """A value or a connection that does not fit its place."""

    code, status = "wrong_type", 400


class TooLarge(UsageError):
    """Beyond a limit on size, depth or count."""

    code, status = "too_large", 413


class Refused(CopernicusError):
    """Understood, and not done, because it would break a rule of the network."""

    code, status = "refused", 409


class Conflict(Refused):
    """Somebody else wrote the same place since the edit was staged. `seq`: up to which transaction was looked."""

    code, status = "conflict", 409

    def __init__(self, message: str, hint: str = "", seq: int = 0) -> None:
        super().__init__(message, hint)
        self.seq = seq


class NotAuthenticated(CopernicusError):
    """No session, no bundle, or a wrong password."""

    code, status = "not_authenticated", 401


class NotAllowed(CopernicusError):
    """The caller is known, and may not do this."""

    code, status = "not_allowed", 403


class Stale(CopernicusError):
    """A message about an attempt that is no longer the current one."""

    code, status = "stale", 409


class Unavailable(CopernicusError):
    """The server cannot do it now; the same request may be sent again."""

    code, status = "unavailable", 503


class TooMany(Unavailable):
    """More at a time, or more often, than one caller may."""

    code, status = "too_many", 429


class NoSpace(Unavailable):
    """The server's disk is full."""

    code, status = "no_space", 507


class Unreachable(Unavailable):
    """There was no connection, or it broke before the answer came."""

    code = "unreachable"


class CertificateRefused(CopernicusError):
    """The other side's certificate is not one that we trust."""

    code = "certificate_refused"


class BundleNotFound(CopernicusError):
    """There is no connection bundle in any of the places that were looked at."""

    code = "bundle_not_found"


class SettingsError(CopernicusError):
    """Settings that cannot be read, or that are not safe to use."""

    code = "settings"


class CorruptData(CopernicusError):
    """Bytes that do not match their hash."""

    code, status = "corrupt", 500


class ModuleError(CopernicusError):
    """A workflow module that cannot be loaded, or whose code failed."""

    code, status = "module", 400


class InternalError(CopernicusError):
    """A fault of Copernicus itself."""

    code, status = "internal", 500


def _tree(root: type[CopernicusError]) -> list[type[CopernicusError]]:
    return [root, *(error for child in root.__subclasses__() for error in _tree(child))]


BY_CODE: dict[str, type[CopernicusError]] = {error.code: error for error in _tree(CopernicusError)}
BY_CODE["internal"] = InternalError


def from_code(code: str, message: str, hint: str = "", seq: int = 0) -> CopernicusError:
    """Return the error that travelled under `code`; an unknown code becomes an `InternalError`. `seq` is a conflict's."""
    kind = BY_CODE.get(code, InternalError)
    return kind(message, hint, seq) if issubclass(kind, Conflict) else kind(message, hint)
