"""The training step of the PyTorch side and its timing, written as a PyTorch user who wants speed would."""

import statistics
import time

import torch
from torch.nn import functional

VARIANTS = ("eager", "channels-last", "channels-last-bf16", "compiled-bf16")
READ_EVERY = 16  # steps between two reads of the loss, because each read waits for the device
WARM_UP_STEPS, WARM_UP_SECONDS = 4, 1.0  # untimed steps and seconds (at least both): the first steps allocate memory
OPTIMIZER_CALLS = 20
LR = 4e-3


class Trainer:
    """A network, its optimizer and its loss function."""

    def __init__(self, network, variant, device):
        channels_last = variant != "eager"
        self.format = torch.channels_last if channels_last else torch.contiguous_format
        self.network = network.to(device, memory_format=self.format).train()
        self.optimizer = optimizer(self.network)
        loss = loss_function(self.network, device, bf16=variant.endswith("bf16"))
        self.loss = torch.compile(loss) if variant.startswith("compiled") else loss

    def backward(self, images, labels):
        """Runs the forward and backward pass of a batch and returns its loss."""
        self.optimizer.zero_grad(set_to_none=True)
        loss = self.loss(images.contiguous(memory_format=self.format), labels)
        loss.backward()
        return loss.detach()

    def update(self):
        """Clips the gradient and runs the optimizer step."""
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self.optimizer.step()

    def step(self, images, labels):
        """Trains on a batch and returns its loss, as a tensor on the device."""
        loss = self.backward(images, labels)
        self.update()
        return loss


def optimizer(network):
    """Fused AdamW with the hyperparameters of the presets; no weight decay for biases and norms."""
    parameters = list(network.parameters())
    groups = [
        {"params": [p for p in parameters if p.dim() > 1], "weight_decay": 0.05},
        {"params": [p for p in parameters if p.dim() <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=LR, betas=(0.9, 0.999), eps=1e-8, fused=True)


def loss_function(network, device, bf16):
    """Returns a function for the forward pass (in bf16 if requested) and the label-smoothed cross-entropy (in f32)."""

    def loss(images, labels):
        with torch.autocast(device, dtype=torch.bfloat16, enabled=bf16):
            logits = network(images)
        return functional.cross_entropy(logits.float(), labels, label_smoothing=0.1)

    return loss


def wait(device):
    """Waits until the device has finished all queued work."""
    if device == "cuda":
        torch.cuda.synchronize()


def warm_up(trainer, batches):
    """Runs the untimed steps."""
    start, steps = time.perf_counter(), 0
    while steps < WARM_UP_STEPS or time.perf_counter() - start < WARM_UP_SECONDS:
        trainer.step(*next(batches)).item()
        steps += 1


def timed(trainer, batches, size, seconds, device):
    """Trains for that long. Returns images/s overall, images/s per segment of about a second, and the step count.

    A GPU runs asynchronously, so the clock is read only after the loss, because reading the loss waits for the GPU.
    """
    clock_every = READ_EVERY if device == "cuda" else 1
    total = torch.zeros((), device=device)
    segments, steps, mark_steps = [], 0, 0
    start = mark = now = time.perf_counter()
    while now - start < seconds:
        total += trainer.step(*next(batches))
        steps += 1
        if steps % READ_EVERY == 0:
            check_finite(total.item(), steps)
            total.zero_()
        if steps % clock_every:
            continue
        now = time.perf_counter()
        if now - mark >= 1:
            segments.append((steps - mark_steps) * size / (now - mark))
            mark, mark_steps = now, steps
    check_finite(total.item(), steps)
    return steps * size / (now - start), segments, steps


def check_finite(loss, steps):
    """Raises ArithmeticError if the loss is not finite: the speed of a diverged network is meaningless."""
    if not abs(loss) < float("inf"):
        raise ArithmeticError(f"the loss is {loss} after {steps} steps")


def optimizer_ms(trainer, batch, device):
    """The median milliseconds of clipping and the optimizer step, repeated for one gradient."""
    trainer.backward(*batch)
    wait(device)
    took = []
    for _ in range(OPTIMIZER_CALLS):
        start = time.perf_counter()
        trainer.update()
        wait(device)
        took.append((time.perf_counter() - start) * 1000)
    return statistics.median(took)
