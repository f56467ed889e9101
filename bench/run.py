#!/usr/bin/env python3
"""Measures Fulmen against PyTorch Lightning on one machine and writes bench/RESULTS.md.

    make bench                                  # everything: about a quarter of an hour on two cores
    python3 bench/run.py --workloads mlp --rounds 1
    python3 bench/run.py --precision bf16-mixed --output bench/RESULTS-bf16.md
    python3 bench/run.py --workloads gpt --rounds 1 --contestants fulmen "lightning, torch.compile" --output -

The contestants take turns, several rounds over, so that a busy spell of the machine falls on all of them; the medians over
the rounds count. Standard library only.
"""

import argparse
import datetime
import json
import os
import platform
import shlex
import statistics
import subprocess
import sys
import time
from pathlib import Path

BENCH = Path(__file__).resolve().parent
ROOT = BENCH.parent

# How each contestant is started. Lightning's side prints what it measured as JSON. Fulmen prints its events, one JSON object a
# line, and is measured by when they arrive here, so that nothing in the program itself is there for the bench.
LIGHTNING = "{python} bench/lightning/bench.py --workload {workload} --steps {steps} --threads {threads} --precision {precision}"
COMMANDS = {
    "fulmen": "{fulmen} train experiment=bench_{workload} trainer.max_steps={steps} trainer.precision={precision} --json",
    "lightning": LIGHTNING,
    "lightning, fused AdamW": LIGHTNING + " --fused",
    # Not by default: compiling takes a minute or two a run.
    "lightning, torch.compile": LIGHTNING + " --fused --compile",
}
DEFAULT_CONTESTANTS = ["fulmen", "lightning", "lightning, fused AdamW"]

# Steps per run: 15 to 25 seconds each on two cores.
STEPS = {"mlp": 2000, "resnet18": 30, "gpt": 50, "lstm": 200}

DESCRIPTIONS = {
    "mlp": "784-512-512-10, ReLU, batch 64",
    "resnet18": "ResNet-18 with a 3×3 stem, 3×32×32, batch 32",
    "gpt": "4 layers, 4 heads, width 256, context 128, 256 symbols, batch 16",
    "lstm": "2 layers of 128 over 96 steps of 7 series, batch 64",
}


class BenchError(Exception):
    """A contestant could not be measured; the message is for the user."""


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fulmen", default="target/release/fulmen", help="the program to measure")
    parser.add_argument("--python", default=".venv-bench/bin/python", help="the Python that has Lightning")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--workloads", nargs="+", choices=list(STEPS), default=list(STEPS))
    parser.add_argument("--contestants", nargs="+", choices=list(COMMANDS), default=DEFAULT_CONTESTANTS)
    parser.add_argument("--precision", choices=["32-true", "bf16-mixed"], default="32-true", help="on all sides")
    parser.add_argument("--output", type=Path, default=BENCH / "RESULTS.md", help="- prints the report")
    return parser.parse_args()


def command_of(contestant: str, workload: str, arguments: argparse.Namespace) -> str:
    return COMMANDS[contestant].format(
        fulmen=arguments.fulmen,
        python=arguments.python,
        workload=workload,
        steps=STEPS[workload],
        threads=arguments.threads,
        precision=arguments.precision,
    )


def run_once(command: str, threads: int) -> dict:
    """Runs a contestant to its end; adds the peak memory of its largest process, in MiB, as the kernel counts it."""
    environment = os.environ | {"OMP_NUM_THREADS": str(threads)}
    log = BENCH / ".last-run.log"
    with log.open("w+") as stderr:
        started = time.monotonic()
        process = subprocess.Popen(
            shlex.split(command), cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=stderr, text=True
        )
        lines = [(time.monotonic() - started, line) for line in process.stdout]
        # wait4, not wait: its resource usage is that of this process and of the children it waited for.
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        tail = "\n".join(log.read_text().splitlines()[-15:])
        raise BenchError(f"'{command}' ended with status {process.returncode}:\n{tail}")
    log.unlink()
    objects = [(arrived, json.loads(line)) for arrived, line in lines if line.startswith("{")]
    events = [(arrived, one) for arrived, one in objects if "event" in one]
    result = from_events(events) if events else (objects[-1][1] if objects else {})
    if "steps_per_second" not in result:
        raise BenchError(f"'{command}' told no speed; it ended with:\n{''.join(line for _, line in lines[-5:])}")
    result["peak_rss_mib"] = usage.ru_maxrss / 1024
    return result


def from_events(events: list[tuple[float, dict]]) -> dict:
    """Fulmen's speed by its events: each progress event says how many batches of its epoch are done."""
    result = {"steps": 0, "parameters": 0, "versions": {}}
    marks: list[tuple[float, int]] = []  # when so many steps were done
    before = 0  # steps of the epochs before this one
    for arrived, event in events:
        match event["event"]:
            case "started":
                result["versions"] = {key: event["environment"][key] for key in ("fulmen", "libtorch")}
            case "model_summary":
                result["parameters"] = event["trainable"]
            case "stage_started":
                before = marks[-1][1] if marks else 0
            case "progress":
                marks.append((arrived, before + event["batch"]))
                result["final_loss"] = event["values"]["loss"]
            case "stage_finished":
                # Progress is told at most so often; the stage's end says how many batches there were.
                marks.append((arrived, before + event["batches"]))
    if len(marks) < 3:
        return result
    result["steps"] = marks[-1][1]
    result["time_to_first_step_s"] = marks[0][0]
    result["steps_per_second"] = median_speed([mark for mark in marks if mark[1] >= result["steps"] / 5])
    return result


def median_speed(marks: list[tuple[float, int]], windows: int = 10) -> float:
    """Median over windows, as on Lightning's side."""
    length = max(1, (len(marks) - 1) // windows)
    pairs = [(marks[i], marks[i + length]) for i in range(0, len(marks) - length, length)]
    return statistics.median((last[1] - first[1]) / (last[0] - first[0]) for first, last in pairs)


def check_same_work(workload: str, results: dict[str, list[dict]]) -> None:
    """All contestants must have trained the same number of parameters for the same number of steps."""
    for key in ["parameters", "steps"]:
        seen = {contestant: runs[0][key] for contestant, runs in results.items() if key in runs[0]}
        if len(set(seen.values())) > 1:
            raise BenchError(f"{workload}: the contestants differ in {key}, so their speeds do not compare: {seen}")


def measure(arguments: argparse.Namespace) -> dict[str, dict[str, list[dict]]]:
    total = len(arguments.workloads) * arguments.rounds * len(arguments.contestants)
    done = 0
    measured: dict[str, dict[str, list[dict]]] = {}
    for workload in arguments.workloads:
        results = measured[workload] = {contestant: [] for contestant in arguments.contestants}
        for round_number in range(1, arguments.rounds + 1):
            for contestant in arguments.contestants:
                done += 1
                label = f"[{done}/{total}] {workload}, round {round_number}, {contestant}"
                print(f"{label} …", end=" ", flush=True)
                result = run_once(command_of(contestant, workload, arguments), arguments.threads)
                results[contestant].append(result)
                print(f"{result['steps_per_second']:.4g} steps/s", flush=True)
        check_same_work(workload, results)
    return measured


# --- the report --------------------------------------------------------------------------------------------------------

METRICS = [
    # key, heading, format, whether more is better
    ("steps_per_second", "steps/s", "{:.3g}", True),
    ("time_to_first_step_s", "first step, s", "{:.2f}", False),
    ("peak_rss_mib", "peak memory, MiB", "{:.0f}", False),
    ("final_loss", "final loss", "{:.4f}", None),
]


def median(runs: list[dict], key: str) -> float | None:
    values = [run[key] for run in runs if run.get(key) is not None]
    return statistics.median(values) if values else None


def cell(runs: list[dict], key: str, form: str) -> str:
    value = median(runs, key)
    if value is None:
        return "–"
    text = form.format(value)
    if key == "steps_per_second":
        values = [run[key] for run in runs]
        text += f" ({form.format(min(values))}–{form.format(max(values))})"
    return text


def ratio(ours: list[dict], theirs: list[dict], key: str, more_is_better: bool) -> str:
    """How many times better the first is, of medians; below 1 it is worse."""
    mine, other = median(ours, key), median(theirs, key)
    if not mine or not other:
        return "–"
    return f"{mine / other if more_is_better else other / mine:.2f}×"


def table(results: dict[str, list[dict]]) -> list[str]:
    lines = [
        "| | " + " | ".join(heading for _, heading, _, _ in METRICS) + " |",
        "|---" * (len(METRICS) + 1) + "|",
    ]
    for contestant, runs in results.items():
        lines.append(f"| {contestant} | " + " | ".join(cell(runs, key, form) for key, _, form, _ in METRICS) + " |")
    for contestant, runs in results.items():
        if "fulmen" in results and contestant != "fulmen":
            ratios = [
                "" if better is None else ratio(results["fulmen"], runs, key, better) for key, _, _, better in METRICS
            ]
            lines.append(f"| *fulmen against {contestant}* | " + " | ".join(ratios) + " |")
    return lines


def processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def memory_gib() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30


def version_line(contestant: str, runs: list[dict]) -> str:
    versions = runs[0].get("versions", {})
    return f"{contestant}: " + (", ".join(f"{name} {version}" for name, version in versions.items()) or "not stated")


def commit() -> str:
    output = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return output.stdout.strip() or "unknown"


def report(measured: dict[str, dict[str, list[dict]]], arguments: argparse.Namespace, load: float) -> str:
    first = next(iter(measured.values()))
    lines = [
        "# Speed of training, against PyTorch Lightning",
        "",
        "Written by `make bench` (`bench/run.py`); do not edit. Medians of "
        f"{arguments.rounds} rounds in which the contestants took turns, with the least and the greatest in brackets. "
        "Ratios say how many times better Fulmen is; below 1 it is worse.",
        "",
        f"- Date: {datetime.datetime.now(datetime.timezone.utc):%Y-%m-%d %H:%M} UTC, commit {commit()}",
        f"- Machine: {processor()}, {os.cpu_count()} cores, {memory_gib():.0f} GiB, {platform.system()} "
        f"{platform.release()}; {arguments.threads} threads, precision {arguments.precision}, load average at the start {load:.1f}",
        *[f"- Versions of {version_line(contestant, runs)}" for contestant, runs in first.items()],
        "- All use AdamW and random data in memory. PyTorch's default AdamW is not the fused one, hence two rows for Lightning; "
        "it runs with `barebones=True`, its least overhead. Steps per second are a median over windows after a warm-up. Time to "
        "the first step counts from the start of the process. Peak memory is that of the largest process, libraries included.",
    ]
    for workload, results in measured.items():
        lines += ["", f"## {workload}", "", f"{DESCRIPTIONS[workload]}; {STEPS[workload]} steps.", ""]
        lines += table(results)
        lines += ["", "```sh", *[command_of(contestant, workload, arguments) for contestant in results], "```"]
    return "\n".join(lines) + "\n"


def main() -> int:
    arguments = parse_arguments()
    load = os.getloadavg()[0]
    if load > 0.5:
        print(f"warning: the load average is {load:.1f}: other programs will disturb the measurement", file=sys.stderr)
    try:
        measured = measure(arguments)
    except (BenchError, OSError) as error:
        print(f"\nerror: {error}", file=sys.stderr)
        return 1
    text = report(measured, arguments, load)
    if str(arguments.output) == "-":
        print(text)
    else:
        arguments.output.write_text(text)
        print(f"written: {arguments.output}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
