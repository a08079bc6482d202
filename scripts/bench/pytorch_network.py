"""The networks of the presets as PyTorch modules; the parameters have the same names as in src/model/drawing.rs."""

from torch import nn

CHANNELS = (32, 64, 128)
CLASSES = 10


def conv(before, after, kernel):
    """A convolution that preserves the image size. It has no bias, because the norm after it would cancel it."""
    return nn.Conv2d(before, after, kernel, padding=kernel // 2, bias=False)


class Residual(nn.Module):
    """Two convolutions with a skip connection. The scale of the second norm is initialised to 0, so that the block
    starts as the identity."""

    def __init__(self, channels):
        super().__init__()
        self.conv1, self.norm1 = conv(channels, channels, 3), nn.BatchNorm2d(channels)
        self.conv2, self.norm2 = conv(channels, channels, 3), nn.BatchNorm2d(channels)
        nn.init.zeros_(self.norm2.weight)

    def forward(self, x):
        inner = self.norm1(self.conv1(x)).relu()
        return (x + self.norm2(self.conv2(inner))).relu()


class Block(nn.Module):
    """Convolution, norm and ReLU, then an optional max pool and an optional residual block."""

    def __init__(self, before, after, kernel, pool, residual):
        super().__init__()
        self.conv, self.norm = conv(before, after, kernel), nn.BatchNorm2d(after)
        self.pool = nn.MaxPool2d(2) if pool else nn.Identity()
        self.residual = Residual(after) if residual else nn.Identity()

    def forward(self, x):
        return self.residual(self.pool(self.norm(self.conv(x)).relu()))


class Network(nn.Module):
    """Three blocks (5x5x32, 3x3x64, 3x3x128; max pool after the first two), global average pooling and a linear layer.
    With `residual`, each block ends with a residual block."""

    def __init__(self, residual):
        super().__init__()
        last = len(CHANNELS) - 1
        self.blocks = nn.Sequential(*(
            Block(before, after, 3 if i else 5, pool=i < last, residual=residual)
            for i, (before, after) in enumerate(zip((1, *CHANNELS), CHANNELS))
        ))
        self.head = nn.ModuleDict({"logits": nn.Linear(CHANNELS[-1], CLASSES)})

    def forward(self, x):
        return self.head["logits"](self.blocks(x).mean((2, 3)))


def load(network, tensors, source):
    """Loads the tensors by name. Only `num_batches_tracked`, which epochtop does not have, may be missing."""
    missing, unknown = network.load_state_dict(tensors, strict=False)
    odd = [name for name in missing if not name.endswith("num_batches_tracked")] + list(unknown)
    if odd:
        raise ValueError(f"{source}: does not match the network: missing or unexpected: {', '.join(odd)}")
