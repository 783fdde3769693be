"""What can go wrong between host and board, beside silence; all are `DeviceError`."""

from __future__ import annotations

from typing import Any

from hwzo.errors import DeviceError
from hwzo.wire.schema import ANY_FIELD, PROTOCOL, HelloReply, Request, Status, command_of, layout_of, schema_hash

_MEANING = {
    Status.E_OP: "it doesn't know this command",
    Status.E_LEN: "the payload has another length than it expects",
    Status.E_VERSION: "its firmware was built from another schema",
    Status.E_BUSY: "it is busy; ask again",
    Status.E_SAFE: "its outputs are in the safe state; clear that first",
}


class FirmwareMismatchError(DeviceError):
    """The board's firmware speaks another version of the protocol."""

    def __init__(self, where: str, hello: HelloReply) -> None:
        super().__init__(
            f"{where}: firmware {hello.firmware_major}.{hello.firmware_minor} speaks HZ{hello.protocol} with schema "
            f"{hello.schema:08x}, this host HZ{PROTOCOL} with schema {schema_hash():08x}; build the firmware anew from "
            "the sources that came with this version of hwzo"
        )
        self.hello = hello


class DeviceResetError(DeviceError):
    """The board has started anew: what it had in memory is gone, and it is unknown which commands in flight it ran.

    Args:
        where: the transport's description.
        boot_id: of the start that is running now.
    """

    def __init__(self, where: str, boot_id: int) -> None:
        super().__init__(f"{where}: the board was reset (boot id {boot_id:08x}); connect again and restore its state")
        self.boot_id = boot_id


class SessionLostError(DeviceError):
    """The board runs on, but another host has opened a session with it."""

    def __init__(self, where: str) -> None:
        super().__init__(f"{where}: another program has opened a session with the board; end it, and connect again")


class MalformedError(DeviceError):
    """A well-formed frame whose payload isn't the message that it should be."""


class CommandError(DeviceError):
    """The board refused a command; nothing was changed by it.

    Args:
        where: the transport's description.
        request: what was refused.
        status: why.
        field: number of the field out of range; `ANY_FIELD` if the command can't run yet.
    """

    def __init__(self, where: str, request: Request[Any], status: int, field: int = ANY_FIELD) -> None:
        layout = layout_of(type(request))
        if status != Status.E_RANGE:
            reason = _MEANING.get(Status(status)) if status in set(Status) else None
            text = reason or f"it gives the unknown reason {status}"
        elif field < len(layout):
            name = layout[field].name
            text = f"{name}={short(getattr(request, name))} is out of range ({name}: {layout[field].about})"
        else:
            text = "it can't do this in its present state (no network, no batch, nothing latched, or no such memory)"
        super().__init__(f"{where}: the board refused {command_of(type(request)).name}: {text}")
        self.request, self.status, self.field = request, status, field


def short(value: object) -> str:
    """Its repr, cut at 60 characters."""
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
