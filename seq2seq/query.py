"""Load a registered version and ask it something: `python -m seq2seq.query models:/NAME/VERSION`.

Why: before a version serves again somebody must have seen it answer, by the code it was registered with;
a flow loads no model itself.
"""

from __future__ import annotations

import os
import sys

from seq2seq import answers, environment, store
from seq2seq.errors import TransientError, UserError

TEXTS = ["1", "a"]  # any model has something to say to these


def query(model: str) -> list[str]:
    """What a version answers; raises UserError if it does not, TransientError for memory or a server."""
    try:
        found = answers.query(model, store.uri(), TEXTS)
    except RuntimeError as error:
        if isinstance(error, TransientError):
            raise
        with store.answering():  # a server that is away is no fault of the model
            store.connect().search_registered_models(max_results=1)
        raise UserError(str(error)) from None
    said = [answer for answer in found if answer is not None]
    if len(said) != len(TEXTS):
        raise UserError(f"{model} refuses to answer: {dict(zip(TEXTS, found, strict=True))}")
    return said


def main() -> int:
    """Ask the model named on the command line; returns the exit status."""
    environment.prepare()
    try:
        said = query(sys.argv[1])
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except TransientError as error:
        print(f"error: {error}", file=sys.stderr)
        return os.EX_TEMPFAIL
    print(f"{sys.argv[1]} answers: {said}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
