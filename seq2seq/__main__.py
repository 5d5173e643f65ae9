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
from contextlib import nullcontext
from pathlib import Path
from typing import Any, NoReturn

from seq2seq.common import corrections_arguments as corrections
from seq2seq.common import disk, environment, paths, processes
from seq2seq.common import document_formats as formats
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
    is_stage = options.command in STAGES and getattr(options, "model", None) is None
    if is_stage:
        processes.die_with_dvc()  # which, killed, would leave it writing as an orphan
    environment.configure_process()
    try:
        return (
            run_stage(options.command, getattr(options, "source", None)) if is_stage else run_command(options)
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
    """Run a command that is no stage; returns the exit status."""
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
        return Exit.DONE  # `| head` has ended
    except OSError as error:
        print(f"error: {disk.explain(error)}", file=sys.stderr)
        return Exit.FAILED


def run_stage(name: str, part: str | None = None) -> int:
    """Run a stage, or a part of it, with the whole of params.yaml checked first; returns the exit status.

    How it ended also goes to the file that SEQ2SEQ_OUTCOME_FILE names: DVC's own exit status is the same
    for every failure, and a caller retries only some.
    """
    from seq2seq.common import integrity, lease, params
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
        with lease.held() if name == "train" else nullcontext():
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
        if name == "score":
            _add_scoring(stage)

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
        help="translate text, files, or lines of stdin",
        description="Translate text or lines of stdin: a line of output for each, as it comes. Files "
        f"({', '.join(formats.NAMES)}) keep their format.",
        epilog="A line that cannot be translated (not UTF-8) is named on stderr, and its line of output is "
        "empty. Exit status: 0 all translated, 1 some lines left out, 2 wrong input.",
    )
    translate.add_argument("text", nargs="*", help="one text an argument, or files", metavar="TEXT|FILE")
    translate.add_argument("--output", type=Path, metavar="FILE|FOLDER", help="for files; default: stdout")
    translate.add_argument("--format", choices=formats.NAMES, help="of the files; default: by their names")
    translate.add_argument("--column", help="of a table: the column to translate, by name or number")
    translate.add_argument("--into", default="translation", metavar="COLUMN", help="of a table: the new one")
    translate.add_argument("--paragraphs", action="store_true", help="of txt: join the lines of a paragraph")
    translate.add_argument("--again", action="store_true", help="of tmx, xliff, po: also translated units")
    translate.add_argument("--to", metavar="LANGUAGE", help="of tmx: the target; default: the model's")
    translate.add_argument(
        "--glossary", type=Path, metavar="TSV", help="terms with their translations, or `keep`, by tabs"
    )
    translate.add_argument("--confidence", action="store_true", help="add columns: confidence and score")
    translate.add_argument("--file", type=Path, help="a text file, one text a line")
    translate.add_argument("--model", help="models:/NAME@ALIAS, models:/NAME/VERSION, or a model folder")
    translate.add_argument("--beam", type=int, help="hypotheses kept at each step; 1 is greedy")
    translate.add_argument(
        "--refuse-long",
        action="store_true",
        help="leave out a text with a sentence too long for the model; default: divide the sentence",
    )
    translate.add_argument("--attention", type=Path, metavar="PNG", help="draw where attention looked")

    _add_serving(commands.add_parser("serve", help="serve the champion by HTTP, and follow its promotions"))

    history = commands.add_parser(
        "history", help="the promotions and rollbacks: version, author, time and reason"
    )
    history.add_argument("name", nargs="?", help="registered model; default: register.name of params.yaml")
    history.add_argument("--json", action="store_true", help="for programs")

    corrections.add(commands)

    lineage = commands.add_parser("lineage", help="the origins of a model, and the models of a corpus or run")
    lineage.add_argument(
        "subject",
        help="models:/NAME@ALIAS, models:/NAME/VERSION, an MLflow run, or the hash of a corpus or file",
    )
    lineage.add_argument("--json", action="store_true", help="for programs")

    export = commands.add_parser("export", help="write a model as a folder that runs without PyTorch")
    export.add_argument("model", help="models:/NAME@ALIAS, models:/NAME/VERSION, or a model folder")
    export.add_argument("--output", type=Path, required=True, metavar="FOLDER", help="a new folder")
    export.add_argument("--precision", choices=("fp32", "int8"), default="fp32", help="of the weights")
    export.add_argument("--score", type=Path, metavar="FILE", help="pairs to measure the folder with")
    export.add_argument("--source-column", default="0", help="name, or number from 0 (the default)")
    export.add_argument("--target-column", default="1", help="name, or number from 0; default: 1")
    export.add_argument("--json", action="store_true", help="for programs")

    publish = commands.add_parser("publish", help="write a model as a folder for a hub; nothing is sent")
    publish.add_argument("model", help="models:/NAME@ALIAS, models:/NAME/VERSION, or a model folder")
    publish.add_argument("--output", type=Path, required=True, metavar="FOLDER", help="a new folder")
    publish.add_argument("--licence", metavar="ID", help="of the model; default: those of its corpus")

    explain = commands.add_parser("explain", help="why a stage will run: the changes since its last run")
    explain.add_argument("stage", nargs="?", help="default: every stage")
    explain.add_argument("--json", action="store_true", help="for programs")


def _add_serving(serve: argparse.ArgumentParser) -> None:
    """The arguments of `serve`."""
    serve.description = "Serve a model with LibreTranslate's API, until Ctrl-C or SIGTERM."
    model = "models:/NAME@ALIAS, which is followed, models:/NAME/VERSION, or a model folder"
    serve.add_argument("--model", help=f"{model}; default: the champion of params.yaml")
    serve.add_argument("--host", default="127.0.0.1", help="address to listen at; default: this machine only")
    serve.add_argument("--port", type=int, default=5005, help="default: 5005")
    serve.add_argument("--beam", type=int, help="hypotheses kept at each step; default: the version's")
    serve.add_argument(
        "--glossary", type=Path, metavar="TSV", help="terms with their translations, or `keep`"
    )
    serve.add_argument("--processes", type=int, default=0, help="that translate; default: up to 4 processors")
    serve.add_argument("--threads", type=int, default=0, help="of each; default: processors by processes")
    serve.add_argument("--poll", type=float, default=10, help="seconds between reads of the alias (10)")
    serve.add_argument("--batch", type=int, default=64, help="texts translated together, at most (64)")
    serve.add_argument("--queue", type=int, default=1000, help="texts that may wait (1000)")
    serve.add_argument("--per-client", type=int, default=0, help="of one client; default: no limit")
    serve.add_argument("--timeout", type=float, default=60, help="seconds for a request (60)")
    serve.add_argument("--max-characters", type=int, default=10_000, help="of a request (10000)")
    serve.add_argument("--max-file", type=int, default=10, metavar="MB", help="of an uploaded file (10)")
    serve.add_argument(
        "--corrections",
        type=Path,
        default=paths.CORRECTIONS,
        metavar="FILE",
        help=f"where suggestions are stored ({paths.CORRECTIONS}); an empty name refuses them",
    )
    serve.add_argument("--origin", action="append", default=[], help="web pages that may use it, or *")


def _add_scoring(score: argparse.ArgumentParser) -> None:
    """The arguments by which `score` is a command and not the stage."""
    score.description = (
        "Without arguments: score the training pairs by a registered model (the stage). With a "
    )
    score.description += "model and a file of pairs: print BLEU, chrF and TER of its translations."
    score.add_argument("model", nargs="?", help="models:/NAME@ALIAS, models:/NAME/VERSION, or a model folder")
    score.add_argument("file", nargs="?", type=Path, help="pairs in any format that `ingest` reads")
    score.add_argument("--source-column", default="0", help="name, or number from 0 (the default)")
    score.add_argument("--target-column", default="1", help="name, or number from 0; default: 1")
    score.add_argument("--json", action="store_true", help="for programs")


if __name__ == "__main__":
    sys.exit(main())
