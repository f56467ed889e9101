#!/usr/bin/env python3
"""Measures `fulmen server` against `mlflow server`, both over SQLite, with one HTTP client that takes turns.

    make bench                                                        # after the speed of training
    .venv-tracking/bin/python bench/tracking.py --fulmen target/release/fulmen

Ingest by log-batch and by single calls over one kept connection, a search with filter and order over 10,000 runs, the history of
100,000 points page by page, the time from the start of the process to the first answer of /health, resident memory of all its
processes. Medians over rounds in which the two take turns. Both are filled beforehand: Fulmen over HTTP, MLflow by its own SQL
models, since that would take a quarter of an hour over HTTP.
"""

import argparse
import datetime
import http.client
import json
import os
import platform
import random
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

BATCH = 1000
FILTER = "metrics.accuracy > 0.5 and params.optimizer = 'adam'"
ORDER = ["metrics.accuracy DESC"]


class Server:
    """One of the two, as a process with its folder."""

    def __init__(self, name: str, command: list[str], folder: Path):
        self.name, self.folder, self.command = name, folder, command
        self.folder.mkdir(parents=True, exist_ok=True)
        self.process = None
        self.connection = None

    def start(self) -> float:
        """Seconds from the start of the process to the first answer."""
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        command = [word.replace("PORT", str(self.port)).replace("FOLDER", str(self.folder)) for word in self.command]
        environment = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
        environment |= {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}
        log = open(self.folder / "log", "ab")
        began = time.perf_counter()
        self.process = subprocess.Popen(command, cwd=self.folder, env=environment, stdout=log, stderr=log, start_new_session=True)
        while True:
            try:
                self.connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
                self.connection.request("GET", "/health")
                answer = self.connection.getresponse()
                answer.read()
                if answer.status == 200:
                    return time.perf_counter() - began
            except OSError:
                pass
            if self.process.poll() is not None:
                raise SystemExit(f"{self.name} ended: see {self.folder / 'log'}")
            time.sleep(0.0005)

    def stop(self) -> None:
        if self.process is not None:
            os.killpg(self.process.pid, signal.SIGTERM)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()
            self.process = None

    def call(self, method: str, path: str, body: dict | None = None) -> dict:
        payload = None if body is None else json.dumps(body)
        headers = {} if body is None else {"Content-Type": "application/json"}
        for attempt in (1, 2):
            try:
                self.connection.request(method, "/api/2.0/mlflow/" + path, payload, headers)
                answer = self.connection.getresponse()
                text = answer.read()
                break
            # MLflow's server closes a connection that has been idle for five seconds.
            except (http.client.HTTPException, OSError):
                if attempt == 2:
                    raise
                self.connection.close()
        if answer.status != 200:
            raise SystemExit(f"{self.name}: {method} {path}: {answer.status} {text[:300]!r}")
        return json.loads(text)

    def new_run(self, experiment: str = "0") -> str:
        return self.call("POST", "runs/create", {"experiment_id": experiment, "start_time": 1})["run"]["info"]["run_id"]

    def processes(self) -> list[int]:
        """The server and all below it."""
        children: dict[int, list[int]] = {}
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    parent = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
                except OSError:
                    continue
                children.setdefault(parent, []).append(int(entry.name))
        found, pending = [], [self.process.pid]
        while pending:
            found.append(pending.pop())
            pending += children.get(found[-1], [])
        return found

    def memory(self) -> float:
        """Resident memory in MB; pages that several of its processes share count in part for each."""
        total = 0
        for process in self.processes():
            try:
                text = Path(f"/proc/{process}/smaps_rollup").read_text()
            except OSError:
                continue
            total += next(int(line.split()[1]) for line in text.splitlines() if line.startswith("Pss:"))
        return total / 1024


def metrics(offset: int, count: int) -> list[dict]:
    return [{"key": "loss", "value": 1 / (offset + step + 1), "timestamp": offset + step, "step": offset + step} for step in range(count)]


def facts(number: int) -> tuple[list[dict], list[dict], list[dict]]:
    """What one of the many runs logs."""
    draw = random.Random(number)
    points = [{"key": key, "value": draw.random(), "timestamp": 1, "step": 1} for key in ("accuracy", "loss", "f1", "auroc", "time")]
    optimizer = draw.choice(["adam", "sgd", "lion"])
    params = [{"key": "optimizer", "value": optimizer}] + [{"key": f"p{key}", "value": str(draw.random())} for key in range(4)]
    return points, params, [{"key": "team", "value": draw.choice(["blue", "red"])}, {"key": "note", "value": f"run {number}"}]


def fill_fulmen(server: Server, runs: int, points: int) -> tuple[str, str]:
    experiment = server.call("POST", "experiments/create", {"name": "many"})["experiment_id"]
    for number in range(runs):
        run = server.call("POST", "runs/create", {"experiment_id": experiment, "start_time": number})["run"]["info"]["run_id"]
        logged, params, tags = facts(number)
        server.call("POST", "runs/log-batch", {"run_id": run, "metrics": logged, "params": params, "tags": tags})
    run = server.new_run()
    for offset in range(0, points, BATCH):
        server.call("POST", "runs/log-batch", {"run_id": run, "metrics": metrics(offset, BATCH)})
    return experiment, run


def fill_mlflow(server: Server, runs: int, points: int) -> tuple[str, str]:
    import sqlalchemy
    from mlflow.store.tracking.dbmodels.models import SqlLatestMetric, SqlMetric, SqlParam, SqlRun, SqlTag

    experiment = server.call("POST", "experiments/create", {"name": "many"})["experiment_id"]
    run = server.new_run()
    rows: dict = {SqlRun: [], SqlMetric: [], SqlLatestMetric: [], SqlParam: [], SqlTag: []}
    for number in range(runs):
        run_uuid = f"{number:032x}"
        uri = f"mlflow-artifacts:/{experiment}/{run_uuid}/artifacts"
        status = {"status": "FINISHED", "lifecycle_stage": "active", "source_type": "LOCAL", "user_id": "u", "artifact_uri": uri}
        rows[SqlRun].append({"run_uuid": run_uuid, "name": f"run-{number}", "experiment_id": int(experiment), "start_time": number, **status})
        logged, params, tags = facts(number)
        for point in logged:
            rows[SqlMetric].append({**point, "run_uuid": run_uuid, "is_nan": False})
            rows[SqlLatestMetric].append({**point, "run_uuid": run_uuid, "is_nan": False})
        rows[SqlParam] += [{**param, "run_uuid": run_uuid} for param in params]
        rows[SqlTag] += [{**tag, "run_uuid": run_uuid} for tag in tags] + [{"key": "mlflow.runName", "value": f"run-{number}", "run_uuid": run_uuid}]
    rows[SqlMetric] += [{**point, "run_uuid": run, "is_nan": False} for point in metrics(0, points)]
    engine = sqlalchemy.create_engine(f"sqlite:///{server.folder}/store.db")
    with engine.begin() as connection:
        for table, values in rows.items():
            connection.execute(sqlalchemy.insert(table), values)
    engine.dispose()
    return experiment, run


def measure_start(server: Server, rounds: int) -> list[float]:
    """Over a store that exists."""
    seconds = []
    for _ in range(rounds):
        server.stop()
        seconds.append(server.start())
    return seconds


def one_round(server: Server, experiment: str, history: str, calls: int) -> dict[str, float]:
    results = {}
    run = server.new_run()
    bodies = [{"run_id": run, "metrics": metrics(BATCH * number, BATCH)} for number in range(calls)]
    began = time.perf_counter()
    for body in bodies:
        server.call("POST", "runs/log-batch", body)
    results["log-batch, points/s"] = calls * BATCH / (time.perf_counter() - began)

    began = time.perf_counter()
    for step in range(calls * 4):
        server.call("POST", "runs/log-metric", {"run_id": run, "key": "single", "value": 1.5, "timestamp": step, "step": step})
    results["log-metric, calls/s"] = calls * 4 / (time.perf_counter() - began)

    search = {"experiment_ids": [experiment], "filter": FILTER, "order_by": ORDER, "max_results": 100}
    began = time.perf_counter()
    found = server.call("POST", "runs/search", search)["runs"]
    results["search, ms"] = (time.perf_counter() - began) * 1000
    values = [next(point["value"] for point in run["data"]["metrics"] if point["key"] == "accuracy") for run in found]
    assert values == sorted(values, reverse=True) and all(value > 0.5 for value in values), server.name

    token, count = "", 0
    began = time.perf_counter()
    while True:
        page = server.call("GET", f"metrics/get-history?run_id={history}&metric_key=loss&max_results=25000" + (token and f"&page_token={token}"))
        count += len(page["metrics"])
        token = page.get("next_page_token", "")
        if not token:
            break
    results["history, ms"] = (time.perf_counter() - began) * 1000
    return results | {"points of the history": count}


def report(results: dict[str, dict[str, list[float]]], arguments: argparse.Namespace, load: float) -> str:
    rows = [
        ("start to the first answer, ms", "start, ms", False),
        (f"log-batch of {BATCH} points, points/s", "log-batch, points/s", True),
        ("log-metric, calls/s", "log-metric, calls/s", True),
        (f"search of {arguments.runs:,} runs, filter and order, 100 found, ms", "search, ms", False),
        (f"history of {arguments.points:,} points, ms", "history, ms", False),
        ("memory after that, MB", "memory, MB", False),
    ]
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, cwd=Path(__file__).parent).stdout.strip()
    lines = [
        "# The tracking server beside MLflow's",
        "",
        f"Written by `make bench` (`bench/tracking.py`); do not edit. Medians of {arguments.rounds} rounds in which the two took turns, the least and "
        "the greatest in brackets. Both over SQLite, one client, one kept connection, `mlflow server` with its default four workers.",
        "",
        f"- Date: {datetime.datetime.now(datetime.timezone.utc):%Y-%m-%d %H:%M} UTC, commit {commit}; load average at the start {load:.1f}",
        f"- Machine: {os.cpu_count()} cores, {platform.system()} {platform.release()}; MLflow {mlflow_version()}",
        "",
        "| | Fulmen | MLflow | better by |",
        "|---|---:|---:|---:|",
    ]
    for title, key, more_is_better in rows:
        ours, theirs = (results[name][key] for name in ("fulmen", "mlflow"))
        ratio = statistics.median(ours) / statistics.median(theirs)
        lines.append(f"| {title} | {shown(ours)} | {shown(theirs)} | {ratio if more_is_better else 1 / ratio:.0f}× |")
    return "\n".join(lines) + "\n"


def shown(values: list[float]) -> str:
    digits = 0 if statistics.median(values) >= 100 else 1
    return f"{statistics.median(values):,.{digits}f} [{min(values):,.{digits}f}, {max(values):,.{digits}f}]"


def mlflow_version() -> str:
    import importlib.metadata

    return importlib.metadata.version("mlflow")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fulmen", default="target/release/fulmen")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--points", type=int, default=100_000)
    parser.add_argument("--calls", type=int, default=10, help="log-batch calls of one round; four times as many single ones")
    parser.add_argument("--output", default=str(Path(__file__).resolve().parent / "TRACKING.md"), help="file, or - for standard output")
    arguments = parser.parse_args()
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as name:
        store = ["--backend-store-uri", "sqlite:///FOLDER/store.db", "--artifacts-destination", "FOLDER/artifacts"]
        flags = ["server", "--host", "127.0.0.1", "--port", "PORT", *store]
        mlflow = [sys.executable, "-m", "mlflow", *flags]
        servers = [
            Server("fulmen", [str(Path(arguments.fulmen).resolve()), *flags], Path(name, "fulmen")),
            Server("mlflow", mlflow, Path(name, "mlflow")),
        ]
        results: dict[str, dict[str, list[float]]] = {"fulmen": {}, "mlflow": {}}
        try:
            filled = {}
            for server, fill in zip(servers, (fill_fulmen, fill_mlflow)):
                print(f"tracking: filling {server.name}", flush=True)
                server.start()
                filled[server.name] = fill(server, arguments.runs, arguments.points)
            for number in range(arguments.rounds):
                print(f"tracking, round {number + 1}/{arguments.rounds}", flush=True)
                for server in servers:
                    starts = measure_start(server, 1)
                    measured = one_round(server, *filled[server.name], arguments.calls)
                    assert measured.pop("points of the history") == arguments.points, server.name
                    measured |= {"start, ms": starts[0] * 1000, "memory, MB": server.memory()}
                    for key, value in measured.items():
                        results[server.name].setdefault(key, []).append(value)
        finally:
            for server in servers:
                server.stop()
    text = report(results, arguments, load)
    if arguments.output == "-":
        print(text)
    else:
        Path(arguments.output).write_text(text)
        print(f"written: {arguments.output}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
