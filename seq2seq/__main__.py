"""`python -m seq2seq X`: the stages, and the commands that only read or edit files.

Why: nothing heavy is imported until a command is chosen, so that `--help` is instant, and every stage starts,
fails and reports in one way. The console script `seq2seq` is flows/__main__.py, which adds its commands.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import signal
import sys
import time
import traceback
from pathlib import Path
from typing import Any, NoReturn

from seq2seq.common import disk, environment, processes
from seq2seq.common.errors import Figure, QualityError, TransientError, UserError
from seq2seq.common.exits import EPILOG, Exit
from seq2seq.common.masking import mask

STAGES = {
    "ingest": "read a source of the corpus (a grammar, files or a pin) into splits",
    "mix": "list the sources to train on, and put their evaluation sets together",
    "score": "score the training pairs by a registered model",
    "clean": "filter, deduplicate, remove test sentences from train",
    "tokenize": "train the SentencePiece model and encode the splits",
    "train": "train the encoder-decoder",
    "evaluate": "score the model on the evaluation splits",
    "register": "put the model into the MLflow registry",
}

RECORDED = ("train", "evaluate", "register")  # stages that write to MLflow, and deliver what waits for it


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    parser, commands = new_parser()
    add_commands(commands)
    return run(parser.parse_args(arguments))


def run(options: argparse.Namespace) -> int:
    """Run the command that was parsed; returns the exit status."""
    if options.command in STAGES:
        processes.die_with_dvc()  # which, killed, would leave it writing as an orphan
    environment.configure_process()
    try:
        return (
            run_stage(options.command, getattr(options, "source", None))
            if options.command in STAGES
            else run_command(options)
        )
    except ModuleNotFoundError as error:  # DVC called by its path runs the stages by the system's Python
        if (error.name or "").startswith("seq2seq"):
            raise
        print(
            f"error: {sys.executable} has no module {error.name!r}: call this project's environment first, "
            "`. .venv/bin/activate` (`make run` sets it up)",
            file=sys.stderr,
        )
        return Exit.MISTAKE


def run_command(options: argparse.Namespace) -> int:
    """Run what is no stage; returns the exit status."""
    try:
        command = importlib.import_module(f"seq2seq.commands.{options.command}")
        return int(command.run(options) or Exit.DONE)
    except (UserError, TransientError) as error:
        print(f"error: {error}", file=sys.stderr)
        return Exit.TRANSIENT if isinstance(error, TransientError) else Exit.MISTAKE
    except KeyboardInterrupt:
        return Exit.INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.DONE  # `| head` has seen enough
    except OSError as error:
        print(f"error: {disk.explain(error)}", file=sys.stderr)
        return Exit.FAILED


def run_stage(name: str, part: str | None = None) -> int:
    """Run a stage, or a part of it, with the whole of params.yaml checked first; returns the exit status.

    How it ended also goes to the file that SEQ2SEQ_MARKER names: DVC's own exit status is the same
    for every failure, and a caller retries only some.
    """
    from seq2seq.common import integrity, params
    from seq2seq.tracking import outbox

    signal.signal(signal.SIGTERM, _interrupt)
    began = time.monotonic()
    status, kind, message = "failed", "bug", ""
    again: list[str] = []
    figure: Figure | None = None
    try:
        checked = params.load()
        if os.environ.get("DVC_STAGE") == (name if part is None else f"{name}@{part}"):
            integrity.check_inputs(name)  # by hand a stage takes the files as they are
        stage = getattr(importlib.import_module(f"seq2seq.{name}"), name)
        stage(checked, *([part] if part is not None else []))
        if name not in RECORDED:
            outbox.deliver_all()
        status, kind = "ran", ""
        return Exit.DONE
    except KeyboardInterrupt:
        status, kind, message = "interrupted", "interrupted", f"{name} was interrupted"
        print(f"{name}: interrupted", file=sys.stderr)
        return Exit.INTERRUPTED
    except TransientError as error:
        kind, message = "transient", str(error)
    except QualityError as error:
        kind, message, figure = "quality", str(error), error.figure
    except UserError as error:
        kind, message = "user", str(error)
    except integrity.DamagedError as error:
        kind, message, again = "damaged", str(error), error.stages
    except OSError as error:
        kind, message = "system", disk.explain(error)
    except Exception as error:
        message = f"{type(error).__name__}: {error}"
        if disk.is_full(message):
            kind, message = "system", f"{message.splitlines()[0]}; {disk.remedy()}"
        elif isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":  # torch's
            kind, message = "system", "out of memory: lower train.batch_tokens or evaluate.batch_size"
        else:
            print(mask(traceback.format_exc()), end="", file=sys.stderr)
    finally:
        message = mask(message)
        if path := os.environ.get(environment.OUTCOME_FILE):
            record: dict[str, Any] = {"stage": name, "status": status, "class": kind, "message": message}
            record |= {"again": again, "figure": figure}
            record["seconds"] = f"{time.monotonic() - began:.1f}"
            Path(path).write_text(json.dumps(record), encoding="utf-8")
    print(f"error: {name}: {message}", file=sys.stderr)
    if figure and figure.acceptable and environment.OUTCOME_FILE not in os.environ:  # a flow adds its own
        print("       if that is right, let it pass: SEQ2SEQ_ACCEPT=REASON dvc repro", file=sys.stderr)
    return Exit.FAILED


def _interrupt(signum: int, frame: object) -> NoReturn:
    raise KeyboardInterrupt


def new_parser() -> tuple[argparse.ArgumentParser, Any]:
    """A parser without commands, and its sub-parsers, to which commands are added."""
    parser = argparse.ArgumentParser(
        prog="seq2seq",
        description="Train and keep a translator.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    return parser, parser.add_subparsers(dest="command", required=True, metavar="command")


def add_commands(commands: Any) -> None:
    """Add the stages, and the commands of seq2seq/commands, to the sub-parsers of argparse."""
    for name, text in STAGES.items():
        stage = commands.add_parser(name, help=text, description=text)
        if name == "ingest":
            stage.add_argument("source", nargs="?", help="its name in ingest.sources; default: each of them")

    use = commands.add_parser("use", help="apply a recipe and single values to params.yaml")
    use.add_argument("recipe", nargs="?", help="a file of recipes/, by name")
    use.add_argument("--set", action="append", default=[], metavar="section.key=value")
    use.add_argument(
        "--upgrade",
        action="store_true",
        help="bring params.yaml (or the recipe named) to the current format, its results unchanged",
    )

    pin = commands.add_parser("pin", help="write commit or URL, sizes and hashes of remote files into a pin")
    pin.add_argument("pin", type=Path, help="e.g. corpora/multi30k.yaml")

    mirror = commands.add_parser("mirror", help="copy the remote corpora of params.yaml into a folder")
    mirror.add_argument("folder", type=Path, help="read from it with CORPUS_MIRROR")

    translate = commands.add_parser(
        "translate",
        help="translate text, lines of a file, or stdin",
        description="Translate text, lines of a file, or stdin: a line of output for each, as it comes.",
        epilog="A line that cannot be translated (not UTF-8, too long a sentence) is named on stderr, and "
        "its line of output is empty. Exit status: 0 all translated, 1 some lines left out, 2 wrong input.",
    )
    translate.add_argument("text", nargs="*", help="one text an argument")
    translate.add_argument("--file", type=Path, help="a text file, one text a line")
    translate.add_argument("--model", help="models:/NAME@ALIAS, models:/NAME/VERSION, or a model folder")
    translate.add_argument("--beam", type=int, help="hypotheses kept at each step; 1 is greedy")
    translate.add_argument("--attention", type=Path, metavar="PNG", help="draw where attention looked")

    history = commands.add_parser("history", help="who made which version champion, when and why")
    history.add_argument("name", nargs="?", help="registered model; default: register.name of params.yaml")
    history.add_argument("--json", action="store_true", help="for programs")

    lineage = commands.add_parser(
        "lineage", help="what a model came from, and what came from a corpus or run"
    )
    lineage.add_argument(
        "what",
        help="models:/NAME@ALIAS, models:/NAME/VERSION, an MLflow run, or the hash of a corpus or file",
    )
    lineage.add_argument("--json", action="store_true", help="for programs")

    explain = commands.add_parser("explain", help="why a stage will run: what changed since it last did")
    explain.add_argument("stage", nargs="?", help="default: every stage")
    explain.add_argument("--json", action="store_true", help="for programs")


if __name__ == "__main__":
    sys.exit(main())
