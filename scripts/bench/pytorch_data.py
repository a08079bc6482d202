"""Training images for the PyTorch side: reads the IDX files and serves batches from device memory."""

import gzip
import math
import os
import pathlib
import struct

import torch

VALIDATION = 5000  # size of epochtop's validation split of the 60,000, so that both sides train on as many images
NAME = "fashion-mnist"


class DataProblem(Exception):
    """A data file is missing or invalid."""


def places(named):
    """The directories that epochtop searches, in the same order; only `named` if it is given."""
    if named:
        return [pathlib.Path(named)]
    found = []
    if os.environ.get("EPOCHTOP_DATA"):
        variable = pathlib.Path(os.environ["EPOCHTOP_DATA"])
        found += [variable / NAME, variable]
    share = os.environ.get("XDG_DATA_HOME") or "~/.local/share"
    return found + [pathlib.Path(share).expanduser() / "epochtop" / NAME, pathlib.Path("/usr/share/datasets") / NAME]


def locate(named):
    """The paths of the training images and labels, with or without gzip compression."""
    for place in places(named):
        images, labels = (packed_or_not(place / f) for f in ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"))
        if images and labels:
            return images, labels
    searched = ", ".join(map(str, places(named)))
    raise DataProblem(f"no train-images-idx3-ubyte and train-labels-idx1-ubyte (with or without .gz) in {searched}: "
                      "run `make setup`, or set EPOCHTOP_DATA to their directory")


def packed_or_not(path):
    """The path if the file exists, else the path with .gz if that exists, else None."""
    packed = path.with_name(path.name + ".gz")
    return path if path.is_file() else packed if packed.is_file() else None


def read_idx(path):
    """Reads an IDX file of bytes as a u8 tensor. Raises DataProblem if the file size does not match the header."""
    with (gzip.open(path) if path.suffix == ".gz" else open(path, "rb")) as file:
        content = file.read()
    if len(content) < 4 or content[:3] != b"\0\0\x08" or len(content) < 4 + 4 * content[3]:
        raise DataProblem(f"{path}: not an IDX file of bytes; remove it and run `make setup`")
    start = 4 + 4 * content[3]
    shape = struct.unpack(f">{content[3]}I", content[4:start])
    if len(content) - start != math.prod(shape):
        raise DataProblem(f"{path}: {len(content) - start} bytes of data, expected {math.prod(shape)} from the header; "
                          "remove it and run `make setup`")
    return as_tensor(content[start:]).view(shape)


def as_tensor(content):
    """A u8 tensor with a copy of these bytes."""
    return torch.frombuffer(bytearray(content), dtype=torch.uint8)


def normalise(images):
    """Converts u8 pixels to f32 in [-1, 1], as epochtop does."""
    return images.to(torch.float32).mul_(2 / 255).sub_(1)


def flip(images):
    """Flips each image horizontally with probability 0.5, on its device."""
    chosen = torch.rand(len(images), 1, 1, 1, device=images.device) < 0.5
    return torch.where(chosen, images.flip(3), images)


class Resident:
    """The training split in device memory, as u8; batches are selected by index."""

    def __init__(self, named, device):
        images, labels = map(read_idx, locate(named))
        if images.dim() != 3 or images.shape[0] != labels.numel() or len(images) <= VALIDATION:
            raise DataProblem(f"{tuple(images.shape)} images and {labels.numel()} labels: not a training split")
        count = len(images) - VALIDATION
        self.images = images[:count].unsqueeze(1).contiguous().to(device)
        self.labels = labels[:count].long().to(device)

    def batches(self, size, flips):
        """Yields (normalised images, labels) without end, shuffled for each epoch. Drops the last incomplete batch,
        because another shape would make the compiled variant compile again."""
        while True:
            order = torch.randperm(len(self.labels), device=self.labels.device)
            for chosen in order[:len(order) // size * size].split(size):
                images = self.images.index_select(0, chosen)
                yield normalise(flip(images) if flips else images), self.labels.index_select(0, chosen)
