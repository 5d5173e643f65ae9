"""Process-wide settings that change no result: telemetry off, libraries quiet, caches inside.

Why: every entry (command line, stage under DVC, flow, test) calls `prepare` first, before any of the
libraries is imported, so that all of them are equally quiet and none talks to the outside unasked.
"""

from __future__ import annotations

import os
from pathlib import Path

MARKER = "SEQ2SEQ_MARKER"  # names the file in which a stage leaves how it ended, for who runs it

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
    "HF_HUB_OFFLINE": "1",  # only what downloads a corpus lifts this
    "USE_TORCH": "0",  # or `datasets` imports it to read text
    "GIT_PYTHON_REFRESH": "quiet",
    "GOMP_SPINCOUNT": "20000",  # libgomp's default spin ruins speed when another process needs a core
    # PyTorch and oneDNN keep a thousand products ready each, one for every shape ever seen; batches come
    # in thousands of shapes, and that took 3 GB. What one update needs, and no slower:
    "ONEDNN_PRIMITIVE_CACHE_CAPACITY": "64",
    "LRU_CACHE_CAPACITY": "32",
}


def prepare(root: Path | None = None) -> None:
    """Set what the user has not set; `root` is the project's folder (default: the current one)."""
    root = (root or Path.cwd()).resolve()
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
    os.environ.setdefault("HF_HOME", str(root / ".cache/huggingface"))
    os.environ.setdefault("MPLCONFIGDIR", str(root / ".cache/matplotlib"))
