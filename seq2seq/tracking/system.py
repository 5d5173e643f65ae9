"""MLflow's system metrics of a training: processors, memory, disk, network, GPU.

Why: MLflow's own monitor queries the server at each sample and ends when it is away. Here its collectors run
in a thread that only hands numbers over; the run sends them with its next batch.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

PREFIX = "system/"  # of the names; MLflow's page shows these metrics on a tab of their own
INTERVAL = 10.0  # seconds, as in MLflow


@contextmanager
def recorded(log: Callable[[Mapping[str, float]], None]) -> Iterator[None]:
    """Pass the system metrics to `log` every INTERVAL seconds and at the end.

    MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL, MLflow's variable, sets another interval. Failed measurements
    cause a warning.
    """
    from mlflow.environment_variables import MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL

    interval = MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL.get() or INTERVAL
    ended = threading.Event()

    def work() -> None:
        try:
            collectors = _collectors()
            _sample(collectors)  # the use of processors is measured since the sample before
            is_last = False
            while not is_last:
                is_last = ended.wait(interval)
                log(_sample(collectors))
        except Exception as error:
            text = f"{type(error).__name__}: {error}"
            print(f"warning: no more system metrics are recorded: {text}", file=sys.stderr, flush=True)

    thread = threading.Thread(target=work, name="system metrics", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _collectors() -> list[Any]:
    from mlflow.system_metrics.metrics.cpu_monitor import CPUMonitor
    from mlflow.system_metrics.metrics.disk_monitor import DiskMonitor
    from mlflow.system_metrics.metrics.gpu_monitor import GPUMonitor
    from mlflow.system_metrics.metrics.network_monitor import NetworkMonitor

    collectors = [CPUMonitor(), DiskMonitor(), NetworkMonitor()]
    with suppress(Exception):  # there is no GPU, or no nvidia-ml-py
        collectors.append(GPUMonitor())
    return collectors


def _sample(collectors: list[Any]) -> dict[str, float]:
    found: dict[str, float] = {}
    for collector in collectors:
        collector.clear_metrics()
        collector.collect_metrics()
        found |= {PREFIX + name: value for name, value in collector.aggregate_metrics().items()}
    return found
