"""The tasks that have a name, and tasks from a user's own file."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from hwzo.data.copying import copying
from hwzo.data.digits import digits
from hwzo.data.fashion import fashion_mnist
from hwzo.data.logic import PARITY_BITS, parity, xor
from hwzo.data.mackey_glass import mackey_glass
from hwzo.data.mnist import mnist5k
from hwzo.data.nist7x7 import nist7x7
from hwzo.data.permuted import ORDERS, permuted_digits
from hwzo.data.task import Task
from hwzo.errors import ConfigError
from hwzo.python_file import call, existing, run

TASKS: dict[str, Callable[[], Task]] = {
    "xor": xor,
    **{f"parity-{bits}": partial(parity, bits) for bits in PARITY_BITS},
    "nist7x7": nist7x7,
    "digits": digits,
    "mnist5k": mnist5k,
    "fashion-mnist": fashion_mnist,
    "mackey-glass": mackey_glass,
    "copy": copying,
    **{f"permuted-digits-{order}": partial(permuted_digits, order) for order in ORDERS},
}


def task_names() -> tuple[str, ...]:
    """Names that `load_task` knows."""
    return tuple(TASKS)


def load_task(name: str) -> Task:
    """The task of that name, or the one that ``"path/to/file.py:function"`` makes.

    A user's function takes no argument and returns a `Task`, such as from `Task.from_arrays`. The file is run as
    Python would import it; its folder is not searched for other modules.

    Raises:
        ConfigError: an unknown name (lists the known), a package that is missing (says how to install it), or a user's
            function that is missing, raises, or returns something else.
        FileError: a data file or the user's file is missing or damaged.
    """
    if name in TASKS:
        return TASKS[name]()
    path, colon, function = name.rpartition(":")
    if colon and path.endswith(".py"):
        return _from_file(path, function)
    raise ConfigError(
        f"task={name!r} is unknown; known are {', '.join(TASKS)}, or path/to/file.py:function for your own", key="task"
    )


def _from_file(path: str, function: str) -> Task:
    file = existing(path, "task", "task")
    module = run(file, "task", "task")
    make = getattr(module, function, None)
    if not callable(make):
        public = [key for key, value in vars(module).items() if callable(value) and not key.startswith("_")]
        raise ConfigError(
            f"task: {file} has no function {function!r}; it has {', '.join(public) or 'none'}", key="task"
        )
    task = call(make, function, file, "task", "task")
    if not isinstance(task, Task):
        raise ConfigError(
            f"task: {function}() in {file} returned {type(task).__name__}, not a hwzo Task; "
            "Task.from_arrays makes one from arrays",
            key="task",
        )
    return task
