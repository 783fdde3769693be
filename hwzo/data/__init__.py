"""Tasks: real datasets and the splits they are judged on."""

from hwzo.data.catalogue import load_task, task_names
from hwzo.data.sampler import Sampler
from hwzo.data.task import Split, SplitName, Task

__all__ = ["Sampler", "Split", "SplitName", "Task", "load_task", "task_names"]
