"""One of our own contestants as a process: `python -m benchmarks.contestant '{"task": ...}'`.

Why: JoeyNMT needs its own process, so each of our contestants has one too. See benchmarks/turns.py.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from benchmarks import setting
from benchmarks.turns import Turns
from seq2seq.common import environment


def main(order: dict[str, str]) -> None:
    """Run the contestant `name` in `task`, on the data in the folder `data`."""
    environment.configure_process()
    turns = Turns()
    data = Path(order["data"])
    if order["task"] == "training":
        from benchmarks.training import loop
        from seq2seq.data.vocabulary import Vocabulary

        contestant = loop(order["name"], data / "tokens", Vocabulary.load(data / "vocabulary").size)
        turns.ready(contestant.parameters)
        while turns.wait():
            turns.answer(contestant.step())
            print(f"loss {contestant.loss:.4f} nats a token", flush=True)
        return

    from benchmarks.decoding import decoder

    folder = Path(order["model"]) if order.get("model") else None
    searcher = decoder(order["name"], data / "corpus", data / "vocabulary", folder)
    turns.ready(searcher.parameters)
    while kind := turns.wait():
        if kind == "singles":
            each = searcher.singles()
            turns.answer(len(each), each)
        else:
            turns.answer(searcher.batch(beam=1 if kind == "greedy" else setting.BEAM))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
