"""One training run on PyTorch Lightning, timed: the peer's side of the speed bench.

    python bench/lightning/bench.py --workload mlp --steps 600 --threads 2 [--fused] [--compile] [--precision bf16-mixed]

It is written as a Lightning user would write it, with all that costs time switched off (`barebones`) and the data in
memory. `--fused` asks torch for its fused AdamW, which is not the default but faster; `--compile` puts the network through torch.compile, which needs a C++ compiler. The last line
printed is JSON.
"""

import argparse
import json
import os
import resource
import statistics
import sys
import time
import warnings


def seconds_since_process_start() -> float:
    """Wall time since the kernel started this process (proc(5): field 22, clock ticks since boot)."""
    with open("/proc/self/stat") as stat:
        ticks = int(stat.read().rpartition(")")[2].split()[19])
    return time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workload", required=True, choices=["mlp", "resnet18", "gpt", "lstm"])
    parser.add_argument("--steps", type=int, required=True, help="optimizer steps; the first fifth is warm-up")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--fused", action="store_true", help="torch.optim.AdamW(fused=True)")
    parser.add_argument("--compile", action="store_true", help="torch.compile(network)")
    parser.add_argument("--precision", default="32-true", choices=["32-true", "bf16-mixed"], help="Lightning's name of it")
    arguments = parser.parse_args()
    if arguments.steps < 10:
        parser.error("--steps must be 10 or more, so that there is something to time after the warm-up")
    return arguments


ARGUMENTS = parse_arguments()
# Before torch is imported: OpenMP reads it once.
os.environ["OMP_NUM_THREADS"] = str(ARGUMENTS.threads)

import lightning  # noqa: E402
import torch  # noqa: E402
from workloads import WORKLOADS  # noqa: E402

BATCHES_IN_MEMORY = 128
WINDOWS = 10


class Bench(lightning.LightningModule):
    """A network, its loss and AdamW; notes when each step ended."""

    def __init__(self, network: torch.nn.Module, loss, fused: bool):
        super().__init__()
        self.network = network
        self.loss = loss
        self.fused = fused
        self.step_ends: list[float] = []
        self.time_to_first_step = 0.0
        self.last_loss = torch.tensor(float("nan"))

    def training_step(self, batch, _batch_index):
        inputs, targets = batch
        return self.loss(self.network(inputs), targets)

    def on_train_batch_end(self, outputs, _batch, _batch_index):
        self.step_ends.append(time.perf_counter())
        self.last_loss = outputs["loss"]
        if len(self.step_ends) == 1:
            self.time_to_first_step = seconds_since_process_start()

    def configure_optimizers(self):
        return torch.optim.AdamW(self.parameters(), lr=1e-3, weight_decay=0.01, fused=self.fused or None)


def steps_per_second(step_ends: list[float]) -> float:
    """Median over windows of equal length after the first fifth of the steps."""
    timed = step_ends[len(step_ends) // 5 :]
    length = max(1, (len(timed) - 1) // WINDOWS)
    windows = [timed[i + length] - timed[i] for i in range(0, len(timed) - length, length)]
    return length / statistics.median(windows)


def main() -> None:
    # Lightning's advice (more workers, fewer threads …) is for other runs than this one.
    warnings.filterwarnings("ignore", module="lightning")
    torch.set_num_threads(ARGUMENTS.threads)
    lightning.seed_everything(0, verbose=False)

    workload = WORKLOADS[ARGUMENTS.workload]
    dataset = torch.utils.data.TensorDataset(*workload.data(BATCHES_IN_MEMORY * workload.batch_size))
    loader = torch.utils.data.DataLoader(dataset, batch_size=workload.batch_size, shuffle=True, num_workers=0)
    network = workload.network()
    module = Bench(torch.compile(network) if ARGUMENTS.compile else network, workload.loss, ARGUMENTS.fused)
    trainer = lightning.Trainer(
        accelerator="cpu",
        devices=1,
        max_epochs=-1,
        max_steps=ARGUMENTS.steps,
        precision=ARGUMENTS.precision,
        # No logger, checkpoints, progress bar, summary, sanity steps, profiler: Lightning's own least overhead.
        barebones=True,
    )
    trainer.fit(module, loader)

    result = {
        "framework": "lightning",
        "workload": ARGUMENTS.workload,
        "steps_per_second": round(steps_per_second(module.step_ends), 3),
        "peak_rss_mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
        "time_to_first_step_s": round(module.time_to_first_step, 2),
        "final_loss": round(float(module.last_loss), 5),
        "steps": len(module.step_ends),
        "parameters": sum(parameter.numel() for parameter in module.parameters()),
        "threads": torch.get_num_threads(),
        "fused": ARGUMENTS.fused,
        "compiled": ARGUMENTS.compile,
        "precision": ARGUMENTS.precision,
        "versions": {
            "lightning": lightning.__version__,
            "torch": torch.__version__,
            "python": sys.version.split()[0],
        },
    }
    print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main()
