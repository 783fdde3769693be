"""Where learned weights come from: a run, a file of hwzo's or of another tool, an object of Python; and where they go.

::

    weights = load_source("model.onnx", task="digits")      # a `hwzo.train.weights.Weights`
    weights = load_source(classifier)                       # a fitted MLPClassifier
    write_onnx(weights, "trained.onnx")
"""

from hwzo.deploy.sources.load import load_source
from hwzo.deploy.sources.nir_file import write_nir
from hwzo.deploy.sources.onnx_writing import write_onnx

__all__ = ["load_source", "write_nir", "write_onnx"]
