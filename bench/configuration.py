#!/usr/bin/env python3
"""Measures Fulmen's composer against Hydra 1.3.8 on one tree: CPU time of a composition, and of a whole program that shows one.

    make bench                                                       # after the speed of training
    .venv-hydra/bin/python bench/configuration.py --fulmen target/release/fulmen

The two take turns; medians of CPU time (user and system) count, since that is what others on the machine disturb least.
Composing in process: Fulmen by `fulmen config batch` over many cases less one, Hydra by `compose()` in a loop, files cached by
the system for both. Showing: `fulmen config show` against `python app.py --cfg job`, both from the start of the process.
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

from hydra import compose, initialize_config_dir

TREE = Path(__file__).resolve().parent.parent / "crates/configuration/benches/tree"
OVERRIDES = ["experiment=big", "trainer.max_epochs=5"]
CASES = 500
APP = """
import hydra
@hydra.main(version_base="1.3", config_path={tree!r}, config_name="config")
def main(config): pass
main()
"""


def cpu_seconds(command: list[str], folder: Path, text: str | None = None) -> float:
    """CPU time of a command and of whatever it waited for."""
    before = os.times()
    subprocess.run(command, cwd=folder, input=text, stdout=subprocess.DEVNULL, text=True, check=True)
    after = os.times()
    return after.children_user - before.children_user + after.children_system - before.children_system


def fulmen_compose(fulmen: str, folder: Path) -> float:
    def cases(count: int) -> str:
        case = {"kind": "compose", "tree": "bench", "config_name": "config", "overrides": OVERRIDES}
        return "".join(json.dumps({"id": str(number), **case}) + "\n" for number in range(count))

    return (cpu_seconds([fulmen, "config", "batch"], folder, cases(CASES + 1)) - cpu_seconds([fulmen, "config", "batch"], folder, cases(1))) / CASES


def hydra_compose() -> float:
    compose("config", OVERRIDES)
    start = time.process_time()
    for _ in range(10):
        compose("config", OVERRIDES)
    return (time.process_time() - start) / 10


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fulmen", default="target/release/fulmen")
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    fulmen = str(Path(arguments.fulmen).resolve())
    times: dict[str, list[float]] = {"fulmen compose": [], "hydra compose": [], "fulmen show": [], "hydra show": []}
    with tempfile.TemporaryDirectory() as name, initialize_config_dir(str(TREE), version_base="1.3"):
        folder = Path(name)
        (folder / "trees").mkdir()
        (folder / "trees/bench").symlink_to(TREE)
        (folder / "app.py").write_text(APP.format(tree=str(TREE)))
        for round_number in range(arguments.rounds):
            print(f"configuration, round {round_number + 1}/{arguments.rounds}", flush=True)
            times["fulmen compose"].append(fulmen_compose(fulmen, folder))
            times["hydra compose"].append(hydra_compose())
            # The kernel counts CPU time in hundredths of a second: twenty calls make it fine enough.
            show = [fulmen, "config", "show", "--config-dir", str(TREE), *OVERRIDES]
            times["fulmen show"].append(sum(cpu_seconds(show, folder) for _ in range(20)) / 20)
            times["hydra show"].append(cpu_seconds([sys.executable, "app.py", "--cfg", "job", *OVERRIDES], folder))
    median = {what: statistics.median(values) * 1000 for what, values in times.items()}
    for what in ("compose", "show"):
        ours, theirs = median[f"fulmen {what}"], median[f"hydra {what}"]
        print(f"{what:8} Fulmen {ours:8.3f} ms   Hydra {theirs:8.1f} ms   {theirs / max(ours, 1e-6):6.0f}× faster (CPU time)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
