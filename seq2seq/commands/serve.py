"""`seq2seq serve`: an HTTP server for the champion, or for a version or model folder.

Why: heavy libraries are imported only after the command line is checked.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from seq2seq.common import params, paths, processors
from seq2seq.common.errors import UserError

MOST = 4  # processes by default: each holds the model
# The least and the largest value of each number.
ALLOWED = {
    "port": (0, 65_535),
    "beam": (1, 100),
    "processes": (0, 256),
    "threads": (0, 1024),
    "poll": (0.1, 86_400),
    "batch": (1, 10_000),
    "queue": (1, 10_000_000),
    "per_client": (0, 10_000_000),
    "timeout": (1, 3600),
    "max_characters": (1, 10_000_000),
    "max_file": (1, 10_000),
}
KEYS = "SEQ2SEQ_API_KEYS_FILE"  # environment variable: a file with the keys of clients, one a line


def run(options: argparse.Namespace) -> int:
    """Serve until Ctrl-C or SIGTERM; returns the exit status."""
    from seq2seq.serving import server
    from seq2seq.serving.settings import Settings
    from seq2seq.serving.versions import Source

    processes = options.processes or min(processors.available(), MOST)
    for name, (least, most) in ALLOWED.items():
        value = getattr(options, name)
        if value is not None and not least <= value <= most:
            argument = name.replace("_", "-")
            raise UserError(f"--{argument}: {value} is not allowed, it should be from {least} to {most}")
    settings = Settings(
        host=options.host,
        port=options.port,
        processes=processes,
        threads=options.threads or _threads(processes),
        beam=options.beam,
        glossary=options.glossary.absolute() if options.glossary else None,
        poll=options.poll,
        batch=options.batch,
        queue=options.queue,
        per_client=options.per_client,
        timeout=options.timeout,
        max_characters=options.max_characters,
        max_file=options.max_file * 1_000_000,
        api_keys=_keys(),
        origins=tuple(options.origin),
        corrections=options.corrections.absolute() if options.corrections.name else None,
    )
    server.run(settings, Source(options.model or _champion()))
    return 0


def _threads(processes: int) -> int:
    """The share of the processors for each process; 0, PyTorch's default, if a variable sets it."""
    return 0 if "OMP_NUM_THREADS" in os.environ else max(processors.available() // processes, 1)


def _champion() -> str:
    if not paths.PARAMS.is_file():
        raise UserError(f"{paths.PARAMS} is missing, so name the model: --model models:/NAME@champion")
    return f"models:/{params.load().register.name}@champion"


def _keys() -> frozenset[str]:
    """The keys of the file that the variable names; none without it."""
    name = os.environ.get(KEYS)
    if not name:
        return frozenset()
    try:
        keys = frozenset(filter(None, map(str.strip, Path(name).read_text(encoding="utf-8").splitlines())))
    except OSError as error:
        raise UserError(f"{KEYS}: {name}: {error.strerror}") from None
    if not keys:
        raise UserError(f"{KEYS}: {name} has no key")
    return keys
