"""Translate with the model of this folder: `python translate.py TEXT...`, or lines of standard input.

Why: the folder needs NumPy, onnxruntime, SentencePiece and sentencex (requirements.txt), and nothing of the
project that wrote it.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path

BATCH = 64  # lines translated together


def main(arguments: Sequence[str] | None = None, folder: Path = Path(__file__).parent) -> int:
    """Translate the arguments or the lines of standard input, a line of output for each."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("text", nargs="*", help="one text an argument; without any, lines of standard input")
    parser.add_argument("--beam", type=int, help="hypotheses kept at each step; 1 is greedy; default: stored")
    parser.add_argument(
        "--batch", type=int, default=BATCH, help=f"texts translated together; default {BATCH}"
    )
    parser.add_argument("--threads", type=int, help="of a product; default: one for each core")
    options = parser.parse_args(arguments)
    from seq2seq.common.errors import UserError
    from seq2seq.export.translator import OnnxTranslator

    sys.stdin.reconfigure(encoding="utf-8")  # type: ignore[union-attr]
    sys.stdout.reconfigure(encoding="utf-8")  # type: ignore[union-attr]
    try:
        translator = OnnxTranslator(folder, options.threads)
        for texts in _portions(options.text or (line.rstrip("\r\n") for line in sys.stdin), options.batch):
            for text in translator.translate(texts, options.beam, divide=True):
                print(" ".join(text.splitlines()))
            sys.stdout.flush()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:
        return 0
    return 0


def _portions(texts: Iterable[str], size: int) -> Iterator[list[str]]:
    rest = iter(texts)
    while portion := list(islice(rest, max(size, 1))):
        yield portion


if __name__ == "__main__":
    sys.exit(main())
