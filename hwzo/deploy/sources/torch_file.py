"""Tensors of a ``.pt`` file, without torch and without running anything that is in it.

``torch.save`` writes a zip: ``NAME/data.pkl`` says in pickle's opcodes which tensors there are, ``NAME/data/KEY`` holds
their bytes. A pickle may call any function; here its opcodes are only looked at (`pickletools.genops`), and the few
that a dictionary of tensors takes are followed. Whatever else is asked for is refused by its name, as torch's own
``weights_only=True`` does.
"""

from __future__ import annotations

import pickletools
import struct
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from hwzo.deploy.sources.safetensors_file import from_bfloat16
from hwzo.errors import FileError

Tensor = NDArray[Any]
HINT = "save model.state_dict(), by torch.save or by safetensors.torch.save_file"
MOST_PICKLE = 4 << 20
"""Most bytes of data.pkl: names and shapes; numbers are elsewhere."""
STORAGES = {
    "FloatStorage": "<f4",
    "DoubleStorage": "<f8",
    "HalfStorage": "<f2",
    "BFloat16Storage": "<u2",
    "LongStorage": "<i8",
    "IntStorage": "<i4",
    "ShortStorage": "<i2",
    "CharStorage": "<i1",
    "ByteStorage": "<u1",
    "BoolStorage": "<u1",
}
NESTED = ("state_dict", "model_state_dict", "model")
"""What checkpoints call the weights among other things."""


DAMAGE = (struct.error, zlib.error)
"""What zipfile raises on damaged archives, beside errors of Python's own."""


@dataclass(frozen=True)
class _Global:
    """A class or function that the pickle names; never looked up."""

    name: str


@dataclass(frozen=True)
class _Storage:
    """Bytes of one or more tensors."""

    kind: str
    key: str
    elements: int


_MARK = object()
_MAPPING, _TENSOR, _PARAMETER = (
    "collections.OrderedDict",
    "torch._utils._rebuild_tensor_v2",
    "torch._utils._rebuild_parameter",
)


def tensors_of(path: Path) -> dict[str, Tensor]:
    """The tensors of a state dict, by name, in its order.

    Raises:
        FileError: missing, damaged, no zip of torch's, or with anything but a dictionary of tensors in it; says what.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            found = _Archive(path, archive).load()
    except FileError:
        raise
    except zipfile.BadZipFile as error:
        raise FileError(f"{path} {_not_a_zip(path)}") from error
    except (OSError, EOFError, ValueError, TypeError, LookupError, ArithmeticError, RuntimeError, *DAMAGE) as error:
        raise FileError(f"{path} can't be read as a file of torch's: {_told(error)}") from error
    return _named(found, path)


def _not_a_zip(path: Path) -> str:
    with path.open("rb") as file:
        first = file.read(2)
    if first[:1] == b"\x80":
        return f"is a pickle, or of torch before 1.6: it would have to be run to be read, and isn't; {HINT}"
    return f"is damaged, or no file of torch's: those are zip archives; {HINT}"


def _named(found: object, path: Path) -> dict[str, Tensor]:
    """The state dict among what was found."""
    if not isinstance(found, dict):
        raise FileError(f"{path} holds {_kind(found)}, not a dictionary of tensors; {HINT}")
    items = cast("dict[object, object]", found)
    inner = [items[key] for key in NESTED if isinstance(items.get(key), dict)]
    if len(inner) == 1:
        items = cast("dict[object, object]", inner[0])
    for name, value in items.items():
        if not isinstance(name, str) or not isinstance(value, np.ndarray):
            raise FileError(
                f"{path}: {name!r} is {_kind(value)}, not a tensor; there are {', '.join(map(str, list(items)[:12]))}; "
                f"{HINT}"
            )
    return cast("dict[str, Tensor]", items)


def _kind(value: object) -> str:
    if isinstance(value, np.ndarray):
        return "one tensor"
    return f"a {type(value).__name__}"


def _told(error: Exception) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


class _Archive:
    """One file, while it is read."""

    def __init__(self, path: Path, archive: zipfile.ZipFile) -> None:
        self._path, self._archive = path, archive
        self._storages: dict[str, Tensor] = {}
        described = [name for name in archive.namelist() if name.endswith("/data.pkl") and name.count("/") == 1]
        if len(described) != 1:
            raise FileError(f"{path} is a zip archive, but not torch's: it has no data.pkl; {HINT}")
        self._root = described[0].removesuffix("data.pkl")
        if any(name.startswith(f"{self._root}code/") for name in archive.namelist()):
            raise FileError(f"{path} holds a program (TorchScript); {HINT}")
        if self._part("byteorder", b"little") != b"little":
            raise FileError(f"{path} was written on a big-endian machine, which isn't read; {HINT}")

    def load(self) -> object:
        """What the pickle makes, with arrays for tensors."""
        return _Reading(self._path, self._part("data.pkl", None), self._tensor).run()

    def _part(self, name: str, default: bytes | None) -> bytes:
        try:
            info = self._archive.getinfo(self._root + name)
        except KeyError:
            if default is None:
                raise FileError(f"{self._path} is damaged: it has no {name}") from None
            return default
        if info.compress_type != zipfile.ZIP_STORED:  # torch compresses nothing: no part is larger than the file
            raise FileError(f"{self._path}: {name} is compressed, as torch never does")
        if name == "data.pkl" and info.file_size > MOST_PICKLE:
            raise FileError(f"{self._path}: data.pkl has {info.file_size:,} bytes, far more than names and shapes take")
        return self._archive.read(info)

    def _tensor(self, storage: _Storage, offset: int, size: tuple[int, ...], stride: tuple[int, ...]) -> Tensor:
        """A tensor of a storage, copied."""
        if storage.key not in self._storages:
            flat = np.frombuffer(self._part(f"data/{storage.key}", None), STORAGES[storage.kind])
            if flat.size != storage.elements:
                raise FileError(
                    f"{self._path} is damaged: storage {storage.key} has {flat.size} numbers, not {storage.elements}"
                )
            if storage.kind == "BFloat16Storage":
                flat = from_bfloat16(flat)
            self._storages[storage.key] = flat
        flat = self._storages[storage.key]
        steps = [(n - 1) * step for n, step in zip(size, stride, strict=True)]
        inside = all(n >= 0 for n in (offset, *size, *stride)) and offset + sum(steps) < flat.size
        if 0 not in size and not inside:
            raise FileError(f"{self._path} is damaged: a tensor of {size} reaches beyond its storage")
        if 0 in size:
            return np.empty(size, flat.dtype)
        strides = tuple(step * flat.itemsize for step in stride)
        if int(np.prod(size, dtype=object)) > flat.size:  # numbers that are used twice: a few bytes as a huge tensor
            raise FileError(f"{self._path}: a tensor of {size} has more numbers than its storage")
        return np.array(np.lib.stride_tricks.as_strided(flat[offset:], size, strides))


class _Reading:
    """Follows the opcodes of one pickle."""

    def __init__(self, path: Path, content: bytes, tensor: Callable[..., Tensor]) -> None:
        self._path, self._content, self._tensor = path, content, tensor
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}

    def run(self) -> object:
        """The object at the end."""
        for opcode, argument, _ in pickletools.genops(self._content):
            name = opcode.name
            if name == "STOP":
                return self._stack.pop()
            self._step(name, argument)
        raise FileError(f"{self._path} is damaged: its data.pkl ends too early")

    def _step(self, name: str, argument: Any) -> None:  # noqa: ANN401
        stack = self._stack
        match name:
            case "PROTO" | "FRAME":
                pass
            case "MARK":
                stack.append(_MARK)
            case "EMPTY_DICT":
                stack.append({})
            case "EMPTY_LIST":
                stack.append([])
            case "EMPTY_TUPLE":
                stack.append(())
            case "NONE" | "NEWTRUE" | "NEWFALSE":
                stack.append({"NONE": None, "NEWTRUE": True, "NEWFALSE": False}[name])
            case "BININT" | "BININT1" | "BININT2" | "LONG1" | "BINFLOAT" | "BINUNICODE" | "SHORT_BINUNICODE":
                stack.append(argument)
            case "TUPLE":
                stack.append(tuple(self._marked()))
            case "TUPLE1" | "TUPLE2" | "TUPLE3":
                count = int(name[-1])
                stack[-count:] = [tuple(stack[-count:])]
            case "BINPUT" | "LONG_BINPUT":
                self._memo[argument] = stack[-1]
            case "MEMOIZE":
                self._memo[len(self._memo)] = stack[-1]
            case "BINGET" | "LONG_BINGET":
                stack.append(self._memo[argument])
            case "APPEND":
                value = stack.pop()
                self._top(list).append(value)
            case "APPENDS":
                values = self._marked()
                self._top(list).extend(values)
            case "SETITEM":
                values = stack[-2:]
                del stack[-2:]
                self._put(values)
            case "SETITEMS":
                self._put(self._marked())
            case "GLOBAL":
                stack.append(self._global(str(argument).replace(" ", ".")))
            case "STACK_GLOBAL":
                module, what = stack.pop(-2), stack.pop()
                stack.append(self._global(f"{module}.{what}"))
            case "BINPERSID":
                stack.append(self._storage(stack.pop()))
            case "REDUCE":
                arguments = stack.pop()
                stack.append(self._called(stack.pop(), arguments))
            case "BUILD":  # attributes of a dictionary: the versions of its modules
                stack.pop()
                self._top(dict)
            case _:
                raise FileError(
                    f"{self._path} holds more than tensors: the pickle's opcode {name} isn't followed; {HINT}"
                )

    def _global(self, name: str) -> _Global:
        if name in (_MAPPING, _TENSOR, _PARAMETER) or name.removeprefix("torch.") in STORAGES:
            return _Global(name)
        raise FileError(f"{self._path} holds {name}, which would have to be run to be read, and isn't; {HINT}")

    def _called(self, function: Any, arguments: Any) -> Any:  # noqa: ANN401
        match function, arguments:
            case _Global(name=name), () if name == _MAPPING:
                return {}
            case _Global(name=name), (_Storage() as storage, int(offset), tuple(), tuple(), *_) if name == _TENSOR:
                size, stride = cast("tuple[Any, ...]", arguments[2]), cast("tuple[Any, ...]", arguments[3])
                if not all(isinstance(n, int) for n in (*size, *stride)):
                    raise FileError(f"{self._path} is damaged: a tensor's shape isn't made of whole numbers")
                return self._tensor(storage, offset, size, stride)
            case _Global(name=name), (np.ndarray(), *_) if name == _PARAMETER:
                return arguments[0]
            case _:
                raise FileError(f"{self._path} is damaged, or holds more than tensors; {HINT}")

    def _storage(self, named: Any) -> _Storage:  # noqa: ANN401
        match named:
            case ("storage", _Global(name=kind), str(key), str(), int(elements)) if kind.startswith("torch."):
                return _Storage(kind.removeprefix("torch."), key, elements)
            case _:
                raise FileError(f"{self._path} is damaged: it names a storage of a kind that torch doesn't have")

    def _marked(self) -> list[Any]:
        """What lies above the last mark; both are taken off."""
        at = len(self._stack) - 1
        while self._stack[at] is not _MARK:
            at -= 1
            if at < 0:
                raise IndexError("a mark is missing")
        values = self._stack[at + 1 :]
        del self._stack[at:]
        return values

    def _put(self, values: list[Any]) -> None:
        if not all(isinstance(key, str | int) for key in values[::2]):  # to hash a nested tuple may take for ever
            raise FileError(f"{self._path} holds a dictionary whose keys are not names; {HINT}")
        self._top(dict).update(zip(values[::2], values[1::2], strict=True))

    def _top(self, kind: type) -> Any:  # noqa: ANN401
        if not isinstance(self._stack[-1], kind):
            raise FileError(f"{self._path} is damaged, or holds more than tensors; {HINT}")
        return self._stack[-1]
