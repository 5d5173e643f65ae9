"""`python -m seq2seq.serving.worker PARENT FOLDER THREADS`: the process that translates for the server.

Why: the server answers while a batch is computed, a new version loads beside the old one, and a process that
dies takes no request with it. It reads requests from standard input and writes answers to standard output,
one after another; it ends with its input or its parent.
"""

from __future__ import annotations

import os
import signal
import sys
import traceback
from pathlib import Path
from typing import Any

import torch

from seq2seq.common import processes
from seq2seq.common.errors import UserError, first_line
from seq2seq.common.masking import mask
from seq2seq.data import direction
from seq2seq.inference.translator import Translator
from seq2seq.serving import protocol
from seq2seq.serving.protocol import Found, Want


def main() -> int:
    """Load a model and answer requests until the input ends; returns the exit status."""
    parent, folder, threads = int(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    glossary = Path(sys.argv[4]) if sys.argv[4] else None
    processes.die_with(parent)
    _ignore_stops(parent)
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # a library that prints must not write into the answers
    if threads:
        torch.set_num_threads(threads)
    try:
        translator = Translator.from_folder(folder, glossary=glossary)
        languages = direction.read(folder)
    except Exception as error:
        out.write(protocol.frame(_problem(error)))
        out.flush()
        return 1
    hello = {"source": languages.source.language, "target": languages.target.language}
    out.write(protocol.frame(hello | {"protects": translator.protects}))
    out.flush()
    while (message := protocol.read(sys.stdin.buffer)) is not None:
        out.write(protocol.frame(answer(translator, message)))
        out.flush()
    return 0


def _ignore_stops(parent: int) -> None:
    """A stop of the whole group (Ctrl-C, a service manager) is for the server, which ends this process."""

    def stop(signum: int, frame: object) -> None:
        if os.getppid() != parent:
            os._exit(0)

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, stop)


def answer(translator: Translator, message: dict[str, Any]) -> dict[str, Any]:
    """The translations of a message's texts, or the problem that prevents them."""
    want = Want(*(message[name] for name in Want._fields))
    try:
        return {"found": _translate(translator, message["texts"], want, message["beam"])}
    except Exception as error:
        return _problem(error)


def _problem(error: Exception) -> dict[str, Any]:
    kind = ""
    if not isinstance(error, UserError):
        traceback.print_exc()
        kind = f"{type(error).__name__}: "
    return {"problem": mask(kind + first_line(error))}


def _translate(translator: Translator, texts: list[str], want: Want, beam: int | None) -> list[Found]:
    translations = translator.translate_fully(texts, beam=beam, warn=False, divide=True, attend=want.attend)
    results = []
    for text, t in zip(texts, translations, strict=True):
        found = Found(text=t.text, score=t.score, confidence=t.confidence, splits=t.splits)
        found["mean"] = t.mean_log_probability
        if want.attend:
            found["source"], found["target"] = t.source_pieces, t.target_pieces
            weights = t.attention_TS
            found["attention"] = weights if weights is None else protocol.packed(weights)
        if want.doubts:
            found["doubts"] = translator.doubts(text)
            found["unknown"] = translator.unknown_words(text)
        results.append(found)
    if want.alternatives:
        best = [found["text"] for found in results]
        others = translator.alternatives(texts, best, want.alternatives, beam)
        for found, listed in zip(results, others, strict=True):
            found["alternatives"] = [(one.text, one.score, one.confidence) for one in listed]
    return results


if __name__ == "__main__":
    sys.exit(main())
