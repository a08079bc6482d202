"""The networks of the presets as PyTorch modules, with the names that src/model/drawing.rs gives their parameters."""

from torch import nn

CHANNELS = (32, 64, 128)
CLASSES = 10


def conv(before, after, kernel):
    """A convolution that keeps the size and has no bias, which the norm after it would take away again."""
    return nn.Conv2d(before, after, kernel, padding=kernel // 2, bias=False)


class Residual(nn.Module):
    """Two convolutions around which the input is carried; the second norm begins at 0, so the block as the identity."""

    def __init__(self, channels):
        super().__init__()
        self.conv1, self.norm1 = conv(channels, channels, 3), nn.BatchNorm2d(channels)
        self.conv2, self.norm2 = conv(channels, channels, 3), nn.BatchNorm2d(channels)
        nn.init.zeros_(self.norm2.weight)

    def forward(self, x):
        inner = self.norm1(self.conv1(x)).relu()
        return (x + self.norm2(self.conv2(inner))).relu()


class Block(nn.Module):
    """Convolution, norm, ReLU, and the pool and residual block where the network has them."""

    def __init__(self, before, after, kernel, pool, residual):
        super().__init__()
        self.conv, self.norm = conv(before, after, kernel), nn.BatchNorm2d(after)
        self.pool = nn.MaxPool2d(2) if pool else nn.Identity()
        self.residual = Residual(after) if residual else nn.Identity()

    def forward(self, x):
        return self.residual(self.pool(self.norm(self.conv(x)).relu()))


class Network(nn.Module):
    """5x5x32, 3x3x64, 3x3x128, pooled but for the last, averaged over all positions; with `residual` a residual block
    after each block."""

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
    """Fills the network by name; PyTorch's own step counters of the norms are all that may be missing."""
    missing, unknown = network.load_state_dict(tensors, strict=False)
    odd = [name for name in missing if not name.endswith("num_batches_tracked")] + list(unknown)
    if odd:
        raise ValueError(f"{source}: does not fit the network: {', '.join(odd)} is on one side only")
