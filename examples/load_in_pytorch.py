"""Loads the network of a run in PyTorch, directly from model.safetensors.

    pip install torch safetensors numpy
    python3 examples/load_in_pytorch.py runs/NAME DIRECTORY_OF_FASHION_MNIST

The class Classifier is all you need (for `head = "gap"` and `padding = "same"`, the default). The rest recomputes the
logits of the test split and compares them with those in predictions.csv of the run.
"""

import csv
import gzip
import json
import pathlib
import sys

import numpy
import torch
from safetensors.torch import load_file
from torch import nn


class Residual(nn.Module):
    def __init__(self, n):
        super().__init__()
        self.conv1, self.norm1 = nn.Conv2d(n, n, 3, padding=1, bias=False), nn.BatchNorm2d(n)
        self.conv2, self.norm2 = nn.Conv2d(n, n, 3, padding=1, bias=False), nn.BatchNorm2d(n)

    def forward(self, x):
        return (x + self.norm2(self.conv2(self.norm1(self.conv1(x)).relu()))).relu()


class Block(nn.Module):
    def __init__(self, before, after, kernel, pool, residual):
        super().__init__()
        self.conv = nn.Conv2d(before, after, kernel, padding=kernel // 2, bias=False)
        self.norm, self.pool = nn.BatchNorm2d(after), nn.MaxPool2d(2) if pool else nn.Identity()
        self.residual = Residual(after) if residual else nn.Identity()

    def forward(self, x):
        return self.residual(self.pool(self.norm(self.conv(x)).relu()))


class Classifier(nn.Module):
    """Input: images (N, C, H, W) in [-1, 1]. Output: logits (N, classes)."""

    def __init__(self, tensors):
        super().__init__()
        convs = [tensors[f"blocks.{i}.conv.weight"].shape for i in range(len(tensors)) if f"blocks.{i}.conv.weight" in tensors]
        self.blocks = nn.Sequential(*(
            Block(before, after, kernel, i + 1 < len(convs), f"blocks.{i}.residual.conv1.weight" in tensors)
            for i, (after, before, kernel, _) in enumerate(convs)))
        classes, features = tensors["head.logits.weight"].shape
        self.head = nn.ModuleDict({"logits": nn.Linear(features, classes)})
        self.load_state_dict(tensors, strict=False)
        self.eval()

    def forward(self, x):
        return self.head["logits"](self.blocks(x).mean((2, 3)))


def idx(directory, name):
    """The data of an IDX file (plain or .gz) as a uint8 array in its shape."""
    path = next(p for p in (directory / name, directory / f"{name}.gz") if p.exists())
    data = (gzip.open if path.suffix == ".gz" else open)(path, "rb").read()
    sizes = numpy.frombuffer(data, ">u4", data[3], 4).tolist()
    return numpy.frombuffer(data, "u1", offset=4 + 4 * data[3]).reshape(sizes)


def main(run, directory):
    newest = max((run / "checkpoints").glob("step-*"))
    best = newest.with_name("step-%09d" % json.loads((newest / "state.json").read_text())["best"]["global_step"])
    network = Classifier(load_file(best / "model.safetensors"))
    pixels = idx(directory, "t10k-images-idx3-ubyte").copy()
    images = torch.from_numpy(pixels).float()[:, None] / 255 * 2 - 1
    with torch.no_grad():
        logits = torch.cat([network(part) for part in images.split(1000)])
    with open(run / "predictions.csv") as file:
        rows = [row for row in csv.DictReader(file) if row["split"] == "test"]
    recorded = torch.tensor([[float(v) for k, v in row.items() if k.startswith("logit_")] for row in rows])
    top = recorded.topk(2).values
    close = (top[:, 0] - top[:, 1]) <= 2e-4
    differ = logits.argmax(1) != recorded.argmax(1)
    off = (logits - recorded).abs().max().item()
    print(f"{best.name}: {len(rows)} test images, maximum logit difference {off:.1e}; {int(differ.sum())} predictions differ, "
          f"{int((differ & ~close).sum())} of them where the two highest logits are more than 2e-4 apart")
    return 0 if off <= 1e-4 and not (differ & ~close).any() else 1


if __name__ == "__main__":
    sys.exit(main(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])))
