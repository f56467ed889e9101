#!/usr/bin/env python3
"""Measures what tracking costs a training step: the same run with everything that records it, and without.

    python3 bench/tracking_step.py --workloads gpt mlp --rounds 5

With: `fulmen train`, every step's values journalled and drained into SQLite. Without: the same worker with the same
specification and environment, whose events are read and dropped. They take turns; the medians over the rounds count.
Standard library only.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from run import DESCRIPTIONS, ROOT, STEPS, from_events

# Stands where the worker would: writes down what it is told, and becomes the worker.
RECORDER = """#!{python}
import os, sys, tempfile
if sys.argv[1:] == ["run"]:
    told = sys.stdin.buffer.read()
    open({folder!r} + "/spec.json", "wb").write(told)
    kept = {{name: os.environ[name] for name in ("GLIBC_TUNABLES", "GOMP_SPINCOUNT") if name in os.environ}}
    open({folder!r} + "/environment", "w").write("\\n".join(f"{{name}}={{value}}" for name, value in kept.items()))
    file = tempfile.TemporaryFile()
    file.write(told)
    file.seek(0)
    os.dup2(file.fileno(), 0)
os.execv({worker!r}, [{worker!r}, *sys.argv[1:]])
"""


def speed(command: list[str], environment: dict, spec: bytes = b"") -> float:
    """Steps a second, by when the events arrive."""
    with tempfile.TemporaryFile() as told:
        told.write(spec)
        told.seek(0)
        started = time.monotonic()
        process = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdin=told, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        lines = [(time.monotonic() - started, line) for line in process.stdout]
    if process.wait() != 0:
        sys.exit(f"{' '.join(command)}\nended with {process.returncode}")
    events = [(arrived, json.loads(line)) for arrived, line in lines if line.startswith(b"{")]
    return from_events([one for one in events if "event" in one[1]])["steps_per_second"]


def measure(workload: str, arguments: argparse.Namespace, folder: Path) -> dict[str, list[float]]:
    worker = Path(arguments.fulmen).resolve().with_name("fulmen-worker")
    base = os.environ | {"OMP_NUM_THREADS": str(arguments.threads)}
    recorder = folder / "recorder"
    recorder.write_text(RECORDER.format(python=sys.executable, folder=str(folder), worker=str(worker)))
    recorder.chmod(0o755)
    train = [
        arguments.fulmen, "train", f"experiment=bench_{workload}", f"trainer.max_steps={STEPS[workload]}",
        "trainer.log_every_n_steps=1", f"mlflow.tracking_uri=sqlite:///{folder}/{workload}.db", "--json",
    ]  # fmt: skip
    speed(train, base | {"FULMEN_WORKER": str(recorder)})
    spec = json.loads((folder / "spec.json").read_text())
    kept = dict(line.split("=", 1) for line in (folder / "environment").read_text().splitlines())

    results = {"with tracking": [], "without": []}
    for round_number in range(1, arguments.rounds + 1):
        results["with tracking"].append(speed(train, base))
        own = folder / f"{workload}-{round_number}"
        own.mkdir()
        results["without"].append(speed([str(worker), "run"], base | kept, json.dumps(spec | {"folder": str(own)}).encode()))
        last = ", ".join(f"{name} {rates[-1]:.4g}" for name, rates in results.items())
        print(f"{workload}, round {round_number}: {last} steps/s", file=sys.stderr, flush=True)
    return results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fulmen", default="target/release/fulmen", help="the program to measure")
    parser.add_argument("--workloads", nargs="+", choices=list(STEPS), default=["gpt", "mlp"])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    rows = []
    for workload in arguments.workloads:
        with tempfile.TemporaryDirectory() as folder:
            results = measure(workload, arguments, Path(folder))
        on, off = (statistics.median(rates) for rates in results.values())
        rows.append(f"| {workload} | {DESCRIPTIONS[workload]} | {1e3 / on:.3f} | {1e3 / off:.3f} | {(off / on - 1) * 100:+.1f} % |")
    print("| workload | what | ms a step with tracking | without | |\n|---|---|---|---|---|", *rows, sep="\n")


if __name__ == "__main__":
    main()
