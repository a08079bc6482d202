"""Writes optimizers.tsv: 50 steps of PyTorch's optimizers and optax's Lion, with clipping and two parameter groups.

    python3 tests/engine/optimizers.py > tests/engine/optimizers.tsv      (PyTorch 2.11, optax 0.2.8 with jax 0.10.2)

Columns: optimizer, step, the weights after the step, the optimizer state.
"""

import torch

START = torch.tensor([0.5, -1.25, 2.0, 0.03125])
GOAL = torch.tensor([1.0, -0.5, 3.0, 0.25])
PULL = torch.tensor([1.0, 2.0, 0.5, 4.0])
DECAY, LR, CLIP, STEPS = 0.05, 1e-2, 1.5, 50


def optimizer(name, groups):
    adam = {"lr": LR, "betas": (0.9, 0.999), "eps": 1e-8}
    return {
        "adamw": lambda: torch.optim.AdamW(groups, **adam),
        "adam": lambda: torch.optim.Adam(groups, **adam),
        "sgd": lambda: torch.optim.SGD(groups, lr=LR, momentum=0.9),
        "nesterov": lambda: torch.optim.SGD(groups, lr=LR, momentum=0.9, nesterov=True),
        "plain": lambda: torch.optim.SGD(groups, lr=LR),
    }[name]()


def trace(name):
    decayed, other = START[:2].clone().requires_grad_(), START[2:].clone().requires_grad_()
    groups = [{"params": [decayed], "weight_decay": DECAY}, {"params": [other], "weight_decay": 0.0}]
    opt = optimizer(name, groups)
    for t in range(STEPS):
        # Linear warm-up; the second group has half the learning rate.
        for group, factor in zip(opt.param_groups, (1.0, 0.5)):
            group["lr"] = LR * (t + 1) / STEPS * factor
        x = torch.cat([decayed, other])
        loss = ((x - GOAL) ** 2 * PULL).sum() + (x.sin() * (t % 3)).sum()
        opt.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_([decayed, other], CLIP)
        opt.step()
        row = [decayed, other]
        for key in ("exp_avg", "exp_avg_sq", "momentum_buffer"):
            row += [s[key] for p in (decayed, other) if (s := opt.state[p]).get(key) is not None]
        print(name, t + 1, *(f"{v:.9g}" for v in torch.cat(row).tolist()), sep="\t")


def muon_trace():
    """A trace of Muon with a tall and a wide matrix. PyTorch iterates in bf16; this uses f32, as our implementation does."""
    torch.Tensor.bfloat16 = torch.Tensor.float
    index = torch.arange(14, dtype=torch.float64)
    start, goal, pull = ((1 + index).sin().float(), (2 * index).cos().float(), (1 + index % 3).float())
    tall, wide = start[:6].reshape(3, 2).clone().requires_grad_(), start[6:].reshape(2, 4).clone().requires_grad_()
    opt = torch.optim.Muon([tall, wide], lr=LR, weight_decay=DECAY, momentum=0.95, nesterov=True, adjust_lr_fn="match_rms_adamw")
    for t in range(STEPS):
        for group in opt.param_groups:
            group["lr"] = LR * (t + 1) / STEPS
        x = torch.cat([tall.flatten(), wide.flatten()])
        loss = ((x - goal) ** 2 * pull).sum() + (x.sin() * (t % 3)).sum()
        opt.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_([tall, wide], CLIP)
        opt.step()
        row = [tall, wide] + [opt.state[p]["momentum_buffer"] for p in (tall, wide)]
        print("muon", t + 1, *(f"{v:.9g}" for r in row for v in r.flatten().tolist()), sep="\t")


def lion_trace():
    """A trace of Lion, as in `trace`. PyTorch has no Lion, so this uses optax (Google DeepMind), also in f32."""
    import numpy as np
    import optax

    goal, pull = (np.array(v, np.float32) for v in ([1.0, -0.5, 3.0, 0.25], [1.0, 2.0, 0.5, 4.0]))
    x = np.array([0.5, -1.25, 2.0, 0.03125], np.float32)
    groups = ((slice(0, 2), 1.0, 0.05), (slice(2, 4), 0.5, 0.0))
    lion = lambda lr, decay: optax.lion(lr, b1=0.9, b2=0.99, weight_decay=decay)
    states = [lion(0.0, decay).init(x[part]) for part, _, decay in groups]
    for t in range(50):
        gradient = (x - goal) * pull * 2 + np.cos(x) * np.float32(t % 3)
        gradient *= np.minimum(1, np.float32(1.5) / (np.linalg.norm(gradient) + np.float32(1e-6)))
        for i, (part, factor, decay) in enumerate(groups):
            step = lion(1e-2 * (t + 1) / 50 * factor, decay)
            updates, states[i] = step.update(gradient[part], states[i], x[part])
            x[part] = optax.apply_updates(x[part], updates)
        print("lion", t + 1, *(f"{v:.9g}" for v in [*x, *states[0][0].mu, *states[1][0].mu]), sep="\t")


for name in ("adamw", "adam", "sgd", "nesterov", "plain"):
    trace(name)
muon_trace()
lion_trace()
