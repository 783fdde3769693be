"""Fashion-MNIST: 70,000 photographs of clothes, 28x28 pixels, ten classes; from Debian's package, read by path."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hwzo.data import idx, splits
from hwzo.data.task import Split, Task
from hwzo.errors import FileError
from hwzo.network import Network

VARIABLE = "HWZO_FASHION_MNIST"
DEBIAN_FOLDER = Path("/usr/share/datasets/fashion-mnist")
VALIDATION = 10_000
CLASS_NAMES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)


def fashion_mnist() -> Task:
    """Fashion-MNIST, 784-64-64-10, with its own 10,000 test images; 10,000 of its other 60,000 are for validation.

    Pixels 0 to 255 become 0 to 1. The folder is the environment variable ``HWZO_FASHION_MNIST`` or else Debian's.

    Raises:
        FileError: a file is missing (names the package), truncated or damaged, or holds something else.
    """
    folder = Path(os.environ.get(VARIABLE) or DEBIAN_FOLDER)
    images, classes = read_part(folder, "train")
    test_images, test_classes = read_part(folder, "t10k")
    if len(images) <= VALIDATION:
        raise FileError(f"{folder}: {len(images)} images to train on; more than {VALIDATION} are needed", key="task")
    train, validation = splits.two_way(len(images), VALIDATION)
    return Task(
        "fashion-mnist",
        Network((28 * 28, 64, 64, 10)),
        Split(images[train] / 255.0, classes[train]),
        Split(images[validation] / 255.0, classes[validation]),
        Split(test_images / 255.0, test_classes),
        window=0.5,  # no accuracy lost in float, and noise grows with the window
        class_names=CLASS_NAMES,
        source=f"real: Fashion-MNIST (Xiao, Rasul and Vollgraf 2017, Zalando SE, MIT licence), idx files in {folder}",
    )


def read_part(folder: Path, part: str) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """One part, ``"train"`` or ``"t10k"``: (images (n, 784) from 0 to 255, classes (n,) from 0 to 9).

    Raises:
        FileError: see `fashion_mnist`.
    """
    images = idx.read(_find(folder, f"{part}-images-idx3-ubyte"))
    labels = idx.read(_find(folder, f"{part}-labels-idx1-ubyte"))
    if images.ndim != 3 or images.shape[1:] != (28, 28) or labels.shape != images.shape[:1] or labels.size == 0:
        raise FileError(
            f"{folder}: {part} images have shape {images.shape} and labels {labels.shape}; expected (n, 28, 28) and "
            "(n,), of the same n",
            key="task",
        )
    if labels.max() >= len(CLASS_NAMES):
        raise FileError(f"{folder}: {part} labels name class {labels.max()}; there are 10, from 0", key="task")
    return images.reshape(len(images), -1), labels.astype(np.int64)


def _find(folder: Path, stem: str) -> Path:
    for path in (folder / f"{stem}.gz", folder / stem):
        if path.is_file():
            return path
    raise FileError(
        f"task=fashion-mnist: {folder / stem}.gz doesn't exist; install it with: apt-get install "
        f"dataset-fashion-mnist, or set {VARIABLE} to the folder that holds the four idx files",
        key="task",
    )
