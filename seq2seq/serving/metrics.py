"""The figures of the server in Prometheus' format.

Why: a registry for each server, since tests and programs may run several in one process.
"""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

SECONDS = (0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 1, 2, 5, 10, 30, 60)
SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class Metrics:
    """Counters, gauges and histograms; their names begin with seq2seq_."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        self.requests = Counter(
            "seq2seq_requests", "Requests by path and status", ["path", "status"], registry=registry
        )
        self.seconds = Histogram(
            "seq2seq_request_seconds",
            "Seconds to answer, by path",
            ["path"],
            buckets=SECONDS,
            registry=registry,
        )
        self.segments = Counter(
            "seq2seq_segments", "Texts: translated, or in a batch that failed", ["outcome"], registry=registry
        )
        self.queue = Gauge("seq2seq_queue_segments", "Texts that wait", registry=registry)
        self.translating = Gauge(
            "seq2seq_translating_segments", "Texts that are translated now", registry=registry
        )
        self.batch = Histogram("seq2seq_batch_segments", "Texts of a batch", buckets=SIZES, registry=registry)
        self.batch_seconds = Histogram(
            "seq2seq_batch_seconds", "Seconds of a batch", buckets=SECONDS, registry=registry
        )
        self.deaths = Counter("seq2seq_process_deaths", "Ended processes of the model", registry=registry)
        self.changes = Counter(
            "seq2seq_version_changes",
            "New versions of the alias: taken or refused",
            ["outcome"],
            registry=registry,
        )
        self.version = Gauge(
            "seq2seq_version_info", "The version that serves", ["name", "version"], registry=registry
        )
        self.away = Gauge(
            "seq2seq_registry_away_seconds",
            "Seconds without the registry",
            registry=registry,
        )

    def serves(self, name: str, number: str) -> None:
        """Set the version that serves."""
        self.version.clear()
        self.version.labels(name, number).set(1)

    def text(self) -> bytes:
        """All figures as Prometheus reads them."""
        return generate_latest(self.registry)
