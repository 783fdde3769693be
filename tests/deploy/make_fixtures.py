"""Makes the files of tests/deploy/fixtures by torch itself: `pip install torch onnx onnxscript`, then run this.

The files are committed, so that tests need no torch. Inputs, and the outputs that torch computes for them in float64,
are in expected.json.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import onnx
import torch
from torch import nn

FOLDER = Path(__file__).with_name("fixtures")


class Custom(nn.Module):
    """A network with names of its own, in an order that is not that of the alphabet."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Linear(6, 5)
        self.body = nn.Linear(5, 4)
        self.head = nn.Linear(4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits (batch, 3) of inputs (batch, 6)."""
        return self.head(torch.tanh(self.body(torch.tanh(self.stem(x)))))


def convolutional() -> nn.Sequential:
    """Two convolutions, of which one is padded and batch-normalised, a largest and a mean pool, two dense layers."""
    return nn.Sequential(
        nn.Conv2d(2, 3, 3, padding=1),
        nn.BatchNorm2d(3),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(3, 4, 2),
        nn.ReLU(),
        nn.AvgPool2d(2),
        nn.Flatten(),
        nn.Linear(4 * 1 * 2, 5),
        nn.ReLU(),
        nn.Linear(5, 3),
    )


def exported(name: str, model: nn.Module, shape: tuple[int, ...]) -> None:
    """Write a model as ONNX, without the traces that torch leaves of the files that it came from."""
    path = FOLDER / f"{name}.onnx"
    torch.onnx.export(model, (torch.zeros(shape),), path, input_names=["x"], external_data=False)
    file = onnx.load(path)
    for part in (file, file.graph, *file.graph.node, *file.graph.value_info, *file.graph.input, *file.graph.output):
        part.ClearField("metadata_props")
        part.ClearField("doc_string")
    onnx.save(file, path)


def main() -> None:
    """Write all of them."""
    torch.manual_seed(0)
    FOLDER.mkdir(exist_ok=True)
    expected: dict[str, dict[str, object]] = {"torch": {"version": torch.__version__}}

    def told(name: str, model: nn.Module, shape: tuple[int, ...]) -> None:
        inputs = torch.randint(-8, 9, shape) / 8
        with torch.no_grad():
            outputs = model.double()(inputs.double())
        model.float()
        expected[name] = {
            "inputs": inputs.tolist(),
            "outputs": [[round(y, 12) for y in row] for row in outputs.tolist()],
        }

    mlp = Custom().eval()
    told("mlp", mlp, (4, 6))
    torch.save(mlp.state_dict(), FOLDER / "mlp.pt")
    torch.save({"epoch": 3, "model_state_dict": mlp.state_dict(), "loss": 0.5}, FOLDER / "checkpoint.pt")
    torch.save(mlp.state_dict(), FOLDER / "legacy.pt", _use_new_zipfile_serialization=False)
    torch.save(mlp, FOLDER / "module.pt")
    kinds = {"half": torch.float16, "bfloat16": torch.bfloat16, "double": torch.float64}
    weight = mlp.stem.weight.detach()
    for name, kind in kinds.items():
        expected[name] = {"weight": weight.to(kind).double().tolist()}
    torch.save({f"{name}.weight": weight.to(kind) for name, kind in kinds.items()}, FOLDER / "kinds.pt")
    both = torch.arange(12.0).reshape(3, 4)
    torch.save({"a.weight": both, "b.weight": both.t(), "c.weight": both[1:, ::2]}, FOLDER / "views.pt")

    cnn = convolutional()
    cnn.train()
    with torch.no_grad():
        for _ in range(20):  # so that the batch norm has something to normalise
            cnn(torch.randn(16, 2, 6, 10))
        cnn[1].weight.copy_(torch.tensor([0.5, -1.5, 1.2]))
        cnn[1].bias.copy_(torch.tensor([0.1, 0.2, -0.3]))
    cnn.eval()
    told("cnn", cnn, (3, 2, 6, 10))
    exported("cnn", cnn, (1, 2, 6, 10))
    exported("mlp", mlp, (1, 6))
    plain = nn.Sequential(
        nn.Conv2d(2, 3, 3, stride=2), nn.Tanh(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(3 * 2 * 2, 3)
    ).eval()
    told("plain", plain, (3, 2, 9, 11))
    torch.save(plain.state_dict(), FOLDER / "plain.pt")
    (FOLDER / "expected.json").write_text(json.dumps(expected, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    sys.exit(main())
