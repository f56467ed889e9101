#!/usr/bin/env python3
"""Times the real Hydra on the tree of `benches/compose.rs`: CPU and wall milliseconds, the median of 40 calls."""
import os
import statistics
import time

from omegaconf import OmegaConf

from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser

OVERRIDES = ["experiment=big", "trainer.max_epochs=5"]
TEXTS = ["a.b=1", "+x=[1,2,{a: b}]", "model=vit", "~y", "lr=choice(0.1,0.2)"]


def timed(name, call, repeats=40):
    wall, cpu = [], []
    for _ in range(repeats):
        start = time.perf_counter(), time.process_time()
        call()
        wall.append(time.perf_counter() - start[0])
        cpu.append(time.process_time() - start[1])
    print(f"{name:20} CPU {statistics.median(cpu) * 1e3:8.3f} ms   wall {statistics.median(wall) * 1e3:8.3f} ms")


with initialize_config_dir(os.path.join(os.path.dirname(os.path.abspath(__file__)), "tree"), version_base="1.3"):
    timed("compose", lambda: compose("config", OVERRIDES))
    config = compose("config", OVERRIDES)
    timed("resolve", lambda: OmegaConf.to_container(config, resolve=True))
    timed("to_yaml", lambda: OmegaConf.to_yaml(config))
parser = OverridesParser.create()
timed("parse 5 overrides", lambda: parser.parse_overrides(TEXTS))
