"""Training images for the PyTorch side: from IDX files to batches that never leave the device."""

import gzip
import math
import os
import pathlib
import struct

import torch

VALIDATION = 5000  # what epochtop sets aside of the 60,000, so that both sides hold as many images
NAME = "fashion-mnist"


class DataProblem(Exception):
    """Files that are missing or not what they are called."""


def places(named):
    """Where epochtop looks too, in its order; a directory the user named is the only one."""
    if named:
        return [pathlib.Path(named)]
    found = []
    if os.environ.get("EPOCHTOP_DATA"):
        variable = pathlib.Path(os.environ["EPOCHTOP_DATA"])
        found += [variable / NAME, variable]
    share = os.environ.get("XDG_DATA_HOME") or "~/.local/share"
    return found + [pathlib.Path(share).expanduser() / "epochtop" / NAME, pathlib.Path("/usr/share/datasets") / NAME]


def locate(named):
    """The files of the training images and labels, packed or not."""
    for place in places(named):
        images, labels = (packed_or_not(place / f) for f in ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"))
        if images and labels:
            return images, labels
    looked = ", ".join(map(str, places(named)))
    raise DataProblem(f"no train-images-idx3-ubyte and train-labels-idx1-ubyte (.gz or not) in {looked}: "
                      "run `make setup`, or name their directory in EPOCHTOP_DATA")


def packed_or_not(path):
    """The file of this name or with .gz after it, if there is one."""
    packed = path.with_name(path.name + ".gz")
    return path if path.is_file() else packed if packed.is_file() else None


def read_idx(path):
    """An IDX file of bytes as a u8 tensor; its sizes are checked, since a short file would train on garbage."""
    with (gzip.open(path) if path.suffix == ".gz" else open(path, "rb")) as file:
        content = file.read()
    if len(content) < 4 or content[:3] != b"\0\0\x08" or len(content) < 4 + 4 * content[3]:
        raise DataProblem(f"{path}: not an IDX file of bytes; remove it and run `make setup`")
    start = 4 + 4 * content[3]
    shape = struct.unpack(f">{content[3]}I", content[4:start])
    if len(content) - start != math.prod(shape):
        raise DataProblem(f"{path}: {len(content) - start} bytes where its head promises {math.prod(shape)}; "
                          "remove it and run `make setup`")
    return as_tensor(content[start:]).view(shape)


def as_tensor(content):
    """Bytes as a u8 tensor of its own memory."""
    return torch.frombuffer(bytearray(content), dtype=torch.uint8)


def normalise(images):
    """u8 to [-1, 1], as epochtop does."""
    return images.to(torch.float32).mul_(2 / 255).sub_(1)


def flip(images):
    """Mirrors half of the images left to right, on their device."""
    chosen = torch.rand(len(images), 1, 1, 1, device=images.device) < 0.5
    return torch.where(chosen, images.flip(3), images)


class Resident:
    """A split on the device: bytes once, batches by index."""

    def __init__(self, named, device):
        images, labels = map(read_idx, locate(named))
        if images.dim() != 3 or images.shape[0] != labels.numel() or len(images) <= VALIDATION:
            raise DataProblem(f"{tuple(images.shape)} images and {labels.numel()} labels are no training split")
        kept = len(images) - VALIDATION
        self.images = images[:kept].unsqueeze(1).contiguous().to(device)
        self.labels = labels[:kept].long().to(device)

    def batches(self, size, flips):
        """Endlessly (normalised images, labels) in an order drawn anew for each epoch; the rest that fills no batch is
        left out, since another shape would have the compiled variant compile again."""
        while True:
            order = torch.randperm(len(self.labels), device=self.labels.device)
            for chosen in order[:len(order) // size * size].split(size):
                images = self.images.index_select(0, chosen)
                yield normalise(flip(images) if flips else images), self.labels.index_select(0, chosen)
