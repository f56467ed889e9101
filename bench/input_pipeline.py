#!/usr/bin/env python3
"""Measures how fast a folder of JPEG files becomes batches for training, beside torchvision's.

    .venv-bench/bin/python bench/input_pipeline.py <folder with train/<class>/*.jpg>

Both sides: decode, RandomResizedCrop(224, antialiased), flip, normalise, batches of 32, two workers: Fulmen's loader threads, and
torchvision's ImageFolder with DataLoader(num_workers=2), whose images are Pillow's. They take turns, so that a busy spell of the machine
falls on both; the medians over the rounds count. Processor time an image, all threads and processes together, is less disturbed by what
else the machine does. With --torchvision it is the other side itself: one epoch to warm up, then --epochs measured, one JSON object.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def cpu_seconds() -> float:
    """Of this process and of its children that have ended."""
    usage = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in usage)


def torchvision_side(folder: Path, workers: int, epochs: int) -> dict:
    import torch
    import torchvision.transforms as transforms
    from torchvision.datasets import ImageFolder

    transform = transforms.Compose(
        [
            transforms.RandomResizedCrop(224),
            transforms.RandomHorizontalFlip(),
            transforms.ToTensor(),
            transforms.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
        ]
    )
    loader = torch.utils.data.DataLoader(
        ImageFolder(folder / "train", transform), batch_size=32, shuffle=True, num_workers=workers, drop_last=True
    )
    images, total, begin, cpu = 0, 0.0, 0.0, 0.0
    for epoch in range(epochs + 1):
        for image, _ in loader:
            total += image[0, 0, 0, 0].item()
            images += len(image)
        if epoch == 0:  # fills the page cache
            images, begin, cpu = 0, time.monotonic(), cpu_seconds()
    seconds = time.monotonic() - begin
    return {"images": images, "images_per_second": images / seconds, "cpu_ms_per_image": (cpu_seconds() - cpu) * 1e3 / images, "sum": total}


def run(command: list[str]) -> dict:
    finished = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    if finished.returncode != 0:
        sys.exit(f"{' '.join(command)}\nended with {finished.returncode}; what it said is above")
    return json.loads(finished.stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--program", default="target/release/examples/input_pipeline", help="Fulmen's side, built by cargo")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--epochs", type=int, default=4, help="measured, after one to warm up")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--torchvision", action="store_true", help="be torchvision's side")
    arguments = parser.parse_args()
    folder = arguments.folder.resolve()
    if arguments.torchvision:
        print(json.dumps(torchvision_side(folder, arguments.workers, arguments.epochs)))
        return

    numbers = [str(arguments.workers), str(arguments.epochs)]
    commands = {
        "Fulmen": [arguments.program, str(folder), *numbers],
        "torchvision": [sys.executable, __file__, str(folder), "--torchvision", "--workers", numbers[0], "--epochs", numbers[1]],
    }
    results = {name: [] for name in commands}
    for _ in range(arguments.rounds):
        for name, command in commands.items():
            results[name].append(run(command))
            print(f"{name}: {results[name][-1]['images_per_second']:.0f} images/s", file=sys.stderr)

    def median(name: str, key: str) -> float:
        return statistics.median(result[key] for result in results[name])

    print(f"| | images/s, median of {arguments.rounds} | processor time an image, ms |\n|---|---|---|")
    for name in commands:
        print(f"| {name} | {median(name, 'images_per_second'):.0f} | {median(name, 'cpu_ms_per_image'):.2f} |")
    rate = median("Fulmen", "images_per_second") / median("torchvision", "images_per_second")
    work = median("torchvision", "cpu_ms_per_image") / median("Fulmen", "cpu_ms_per_image")
    print(f"| ratio | {rate:.2f} | {work:.2f} |\n")
    for name, command in commands.items():
        print(f"{name}: `{' '.join(command)}`")


if __name__ == "__main__":
    main()
