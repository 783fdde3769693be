"""Handwritten digits of 8x8 pixels: scikit-learn's copy of the UCI set, 1,797 samples."""

from __future__ import annotations

from hwzo.data.task import Task
from hwzo.extras import extra


def digits() -> Task:
    """The digits, 64-32-10; pixels 0 to 16 become 0 to 1.

    Raises:
        ConfigError: scikit-learn is not installed; says how to install it.
    """
    data = extra("sklearn.datasets", "task digits", of="data", key="task").load_digits()
    return Task.from_arrays(
        "digits",
        data.data / 16.0,
        data.target,
        layers=(64, 32, 10),
        class_names=tuple("0123456789"),
        source="real: Optical Recognition of Handwritten Digits (Alpaydin and Kaynak 1998, UCI, CC BY 4.0), its test "
        "part as shipped by scikit-learn",
    )
