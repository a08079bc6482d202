"""Writes pytorch_losses.tsv: the losses of 20 steps of the textbook and default networks in PyTorch, in f32.

    python3 tests/engine/pytorch_losses.py > tests/engine/pytorch_losses.tsv      (PyTorch 2.11)

Weights and images are computed by formulas, so that pytorch_losses.rs can run the same steps.
"""

import pathlib
import sys

import torch
from torch.nn import functional

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "scripts" / "bench"))
import pytorch_network  # noqa: E402

STEPS, BATCH = 20, 16


def fill(network):
    """Sets each weight of a matrix or convolution by a formula of its index in the network. Scales are 1 and shifts 0,
    except for the scales of the second norms of residual blocks: these start at 0, which would hide errors in the layers
    before them, and are set to 0.5."""
    place = 0
    for name, parameter in network.named_parameters():
        count = parameter.numel()
        if parameter.dim() > 1:
            index = torch.arange(place, place + count, dtype=torch.float64)
            values = torch.sin(index * 0.7 + 1.0) * (2.0 / parameter[0].numel()) ** 0.5
            parameter.data = values.float().reshape(parameter.shape)
        else:
            level = 0.0 if name.endswith("bias") else 0.5 if name.endswith("norm2.weight") else 1.0
            parameter.data = torch.full_like(parameter, level)
        place += count


def batch(step):
    index = torch.arange(BATCH * 784, dtype=torch.int64) + step * 1009
    pixels = (index * 37 + index // 784 * 11) % 256
    labels = (torch.arange(BATCH) * 3 + step) % 10
    return (pixels.float() * (2 / 255) - 1).reshape(BATCH, 1, 28, 28), labels


for kind in ("textbook", "default"):
    network = pytorch_network.Network(residual=kind == "default")
    fill(network)
    matrices = [p for p in network.parameters() if p.dim() > 1]
    rest = [p for p in network.parameters() if p.dim() <= 1]
    groups = [{"params": matrices, "weight_decay": 0.05}, {"params": rest, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=4e-3, betas=(0.9, 0.999), eps=1e-8)
    for step in range(STEPS):
        images, labels = batch(step)
        loss = functional.cross_entropy(network(images), labels, label_smoothing=0.1)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        print(kind, f"{loss.item():.9g}", sep="\t")
