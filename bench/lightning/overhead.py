"""What PyTorch Lightning's trainer costs beside the model: the peer of `crates/core/base/examples/overhead.rs`.

    python bench/lightning/overhead.py [rounds] [steps]

A step of one linear layer (batch 32, 32 to 32, SGD) by hand over torch, and the same under Lightning's trainer with progress
bar and CSV logger. Both take the same batches from memory. They alternate; printed are medians, of wall time and of CPU time.
"""

import logging
import statistics
import sys
import tempfile
import time
import warnings

import lightning
import torch
from lightning.pytorch.loggers import CSVLogger

BATCH, WIDTH, WARM_UP = 32, 32, 100


class InMemory(torch.utils.data.IterableDataset):
    def __init__(self, steps):
        self.steps = steps
        self.x, self.y = torch.randn(BATCH, WIDTH), torch.randn(BATCH, WIDTH)

    def __iter__(self):
        return iter([(self.x, self.y)] * self.steps)

    def __len__(self):
        return self.steps


class OneLayer(lightning.LightningModule):
    def __init__(self, logs):
        super().__init__()
        self.layer = torch.nn.Linear(WIDTH, WIDTH)
        self.logs = logs

    def training_step(self, batch, _):
        x, y = batch
        loss = torch.nn.functional.mse_loss(self.layer(x), y)
        if self.logs:
            self.log("train/loss", loss, on_step=True, on_epoch=True, prog_bar=True)
        return loss

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.01)


def now():
    return time.perf_counter(), time.thread_time()


def since(began, steps):
    wall, cpu = now()
    return (wall - began[0]) / steps * 1e6, (cpu - began[1]) / steps * 1e6


class Clock(lightning.Callback):
    def __init__(self, steps):
        self.steps = steps

    def on_train_batch_end(self, trainer, *_):
        if trainer.global_step == WARM_UP:
            self.began = now()
        elif trainer.global_step == self.steps:
            self.took = since(self.began, self.steps - WARM_UP)


def by_hand(steps):
    data = torch.utils.data.DataLoader(InMemory(steps), batch_size=None)
    layer = torch.nn.Linear(WIDTH, WIDTH)
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.01)
    for step, (x, y) in enumerate(data):
        if step == WARM_UP:
            began = now()
        optimizer.zero_grad()
        loss = torch.nn.functional.mse_loss(layer(x), y)
        loss.backward()
        optimizer.step()
    return since(began, steps - WARM_UP)


def trained(steps, barebones):
    data = torch.utils.data.DataLoader(InMemory(steps), batch_size=None)
    clock = Clock(steps)
    with tempfile.TemporaryDirectory() as folder:
        full = {} if barebones else {"logger": CSVLogger(folder), "default_root_dir": folder, "enable_checkpointing": False}
        trainer = lightning.Trainer(
            accelerator="cpu", max_epochs=1, barebones=barebones, callbacks=[clock], enable_model_summary=False, **full
        )
        trainer.fit(OneLayer(not barebones), data)
    return clock.took


def main():
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 11
    steps = int(sys.argv[2]) if len(sys.argv) > 2 else 2000
    warnings.filterwarnings("ignore")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    torch.set_num_threads(1)
    rows = {"by hand": [], "trainer": [], "barebones": []}
    for _ in range(rounds):
        rows["by hand"].append(by_hand(steps))
        rows["trainer"].append(trained(steps, False))
        rows["barebones"].append(trained(steps, True))
    print(f"{rounds} rounds of {steps} steps, µs a step: wall, CPU; over the loop by hand: wall, CPU")
    for name, own in rows.items():
        wall, cpu = (statistics.median(row[which] for row in own) for which in (0, 1))
        over = [statistics.median(a[which] - b[which] for a, b in zip(own, rows["by hand"])) for which in (0, 1)]
        print(f"{name:10} {wall:8.1f} {cpu:8.1f}   {over[0]:8.1f} {over[1]:8.1f}")


main()
