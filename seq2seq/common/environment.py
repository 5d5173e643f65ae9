"""Process-wide settings that change no result: no telemetry, quiet libraries, caches in the project, no proxy
for servers on this machine.

Why: every entry (command line, stage under DVC, flow, test) calls `configure_process` before it imports the
libraries, so that all behave alike and none opens connections on its own.
"""

from __future__ import annotations

import ipaddress
import os
import socket
from pathlib import Path
from urllib.parse import urlsplit

# The variable with the path of the file for a stage's outcome, which its caller reads.
OUTCOME_FILE = "SEQ2SEQ_OUTCOME_FILE"

SETTINGS = {
    "DO_NOT_TRACK": "true",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",  # hooks log after a flow has ended
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "DVC_NO_ANALYTICS": "1",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_LOGGING_LEVEL": "ERROR",
    "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "HF_HUB_OFFLINE": "1",  # only downloads of a corpus lift this
    "USE_TORCH": "0",  # or `datasets` imports it to read text
    "GIT_PYTHON_REFRESH": "quiet",
    "GOMP_SPINCOUNT": "20000",  # libgomp's default spin count is slow when another process uses a core
    # PyTorch and oneDNN each cache a thousand compiled products, one per shape; batches have thousands of
    # shapes, which took 3 GB. These sizes are enough for one update, at the same speed:
    "ONEDNN_PRIMITIVE_CACHE_CAPACITY": "64",
    "LRU_CACHE_CAPACITY": "32",
}

# Names of this machine, in the forms that requests, httpx, urllib, websockets and curl accept.
LOCAL = ("localhost", "127.0.0.1", "127.0.0.0/8", "::1", "0.0.0.0")
# Variables that may contain another address of this machine.
SERVERS = (
    "PREFECT_API_URL",
    "MLFLOW_TRACKING_URI",
    "MLFLOW_REGISTRY_URI",
    "MLFLOW_S3_ENDPOINT_URL",
    "ALERT_WEBHOOK",
)


def configure_process(root: Path | None = None) -> None:
    """Set all variables that are not set yet; `root` is the project's folder (default: the current one)."""
    root = (root or Path.cwd()).resolve()
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
    os.environ.setdefault("HF_HOME", str(root / ".cache/huggingface"))
    os.environ.setdefault("MPLCONFIGDIR", str(root / ".cache/matplotlib"))
    _keep_proxies_away()


def is_local(host: str) -> bool:
    """Whether a host's name or address is this machine's own."""
    host, own = host.strip("[]").lower().rstrip("."), socket.gethostname().lower()
    if host in ("localhost", own) or host.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        if host.partition(".")[0] != own.partition(".")[0]:
            return False  # only a possible full name of this machine is looked up
        try:
            found = {str(info[4][0]) for info in socket.getaddrinfo(host, None)}
        except OSError:
            return False
        return bool(found) and all(map(is_local, found))
    mapped = getattr(address, "ipv4_mapped", None) or address
    return mapped.is_loopback or mapped.is_unspecified or str(address) in _addresses()


def local_server(url: str) -> str:
    """The host of an address if it is this machine, else empty."""
    try:
        host = urlsplit(url).hostname or ""
    except ValueError:
        host = ""
    return host if host and is_local(host) else ""


def _addresses() -> set[str]:
    import psutil

    return {one.address.partition("%")[0] for some in psutil.net_if_addrs().values() for one in some}


def _keep_proxies_away() -> None:
    """Add this machine to the hosts without a proxy, and keep the existing entries."""
    ours = [*LOCAL, socket.gethostname(), *(local_server(os.environ.get(name, "")) for name in SERVERS)]
    lists = {name: os.environ.get(name, "") for name in ("no_proxy", "NO_PROXY")}
    either = lists["no_proxy"] or lists["NO_PROXY"]  # clients prefer the first
    for name, listed in lists.items():
        entries = [entry.strip() for entry in (listed or either).split(",") if entry.strip()]
        # A star means all hosts; some clients accept it only alone.
        os.environ[name] = "*" if "*" in entries else ",".join(dict.fromkeys([*entries, *filter(None, ours)]))
