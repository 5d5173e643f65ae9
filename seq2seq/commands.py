"""What a person types beside the stages: use, pin, translate, compare, history, lineage, explain.

Why: one small function a command; each imports only what it needs, so that the first translation is
there before one has looked up.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from seq2seq import own_corpus, params, paths
from seq2seq.errors import UserError

if TYPE_CHECKING:
    from seq2seq.translator import Translator

BATCH = 64  # lines translated together; their order stays
PICTURES = (".png", ".pdf", ".svg")


def run(options: argparse.Namespace) -> int:
    """Do what the command line says; returns the exit status."""
    commands = {"use": use, "pin": pin, "translate": translate, "compare": compare}
    commands |= {"history": history, "lineage": lineage, "explain": explain}
    commands[options.command](options)
    return 0


def use(options: argparse.Namespace) -> None:
    """Apply a recipe and single values to params.yaml; prints what changed."""
    if options.upgrade:
        upgrade(options)
        return
    if options.recipe is None and not options.set:
        known = ", ".join(sorted(path.stem for path in paths.RECIPES.glob("*.yaml")))
        raise UserError(f"use: name a recipe ({known}) or give --set section.key=value")
    recipe = params.recipe_path(options.recipe) if options.recipe else None
    changes = params.apply(recipe, options.set, complete=own_corpus.complete)
    _show_changes(changes, paths.PARAMS)


def upgrade(options: argparse.Namespace) -> None:
    """Bring params.yaml, or a recipe, to the current format; prints what was added and mapped."""
    from seq2seq import upgrades

    if options.set:
        raise UserError("use: --upgrade keeps the results of before; give --set in a call of its own")
    path = params.recipe_path(options.recipe) if options.recipe else paths.PARAMS
    _show_changes(upgrades.upgrade(path), path)


def pin(options: argparse.Namespace) -> None:
    """Resolve a pin of a hub dataset to a commit and the hashes of its files."""
    from seq2seq import hub

    _show_changes(hub.pin(options.pin), options.pin)


def _show_changes(changes: Iterable[tuple[str, Any, Any]], path: Path) -> None:
    changes = list(changes)
    for key, before, after in changes:
        print(f"{key}: {params.show(before)} -> {params.show(after)}")
    if not changes:
        print(f"nothing changed in {path}")


def translate(options: argparse.Namespace) -> None:
    """Translate the arguments, a file or stdin, a line of output for each; warns of unknown words."""
    texts = _texts(options)
    if options.attention is not None:
        _check_picture(options)
    translator = _translator(options.model)
    if options.attention is not None:
        _translate_and_draw(translator, next(texts), options)
        return
    warned: set[str] = set()
    # Somebody who types wants each answer at once.
    size = 1 if _from_terminal(options) else BATCH
    for batch in _batches(texts, size):
        _warn_of_unknown(translator, batch, warned)
        for text in translator.translate(batch, beam=options.beam):
            print(text)
        sys.stdout.flush()


def _batches(texts: Iterable[str], size: int) -> Iterator[list[str]]:
    """Up to `size` texts at a time; what came before one that cannot be read is handed out first."""
    batch: list[str] = []
    try:
        for text in texts:
            batch.append(text)
            if len(batch) == size:
                yield batch
                batch = []
    except UserError:
        if batch:
            yield batch
        raise
    if batch:
        yield batch


def compare(options: argparse.Namespace) -> None:
    """Train other kinds of attention with the same parameters, or take what was kept, and show the scores."""
    if options.figure is not None:
        _check_suffix("--figure", options.figure)
    if options.kinds and options.saved is not None:
        raise UserError("compare: give kinds to train, or --saved comparisons to show, not both")
    from seq2seq import comparison

    figure = options.figure or comparison.FIGURE
    if options.saved is None:
        other = "additive" if params.load().train.attention == "none" else "none"
        comparison.compare(options.kinds or [other], figure)
    else:
        comparison.show(options.saved, figure)


def history(options: argparse.Namespace) -> None:
    """Print the promotion log of a model, the newest entry first."""
    from seq2seq import history as log
    from seq2seq import registry

    if options.name is None and not paths.PARAMS.is_file():
        raise UserError(f"{paths.PARAMS} is not here, so say which model: seq2seq history NAME")
    name = options.name or params.load().register.name
    registry.check_exists()
    found = log.entries(name)
    if not found:
        raise UserError(f"nothing was judged yet of {name}: {registry.what_there_is(name)}")
    _tell([asdict(entry) for entry in found], lambda _: log.table(found), options.json)


def lineage(options: argparse.Namespace) -> None:
    """Tell what a model came from, and what came from a corpus or a run, out of MLflow alone."""
    from seq2seq import lineage as told

    _tell(told.trace(options.what), told.lines, options.json)


def explain(options: argparse.Namespace) -> None:
    """Tell why each stage would run: what changed since dvc.lock was written."""
    from seq2seq import explain as told

    _tell(told.explain(options.stage), told.lines, options.json)


def _tell(found: Any, lines: Callable[[Any], Iterable[str]], as_json: bool) -> None:
    """Print what was found for a person or for a program."""
    print(json.dumps(found, indent=2, ensure_ascii=False) if as_json else "\n".join(lines(found)))


def _translator(model: str | None) -> Translator:
    """The translator of a registered model or a folder; the default is the champion of params.yaml."""
    if model is None:
        if not paths.PARAMS.is_file():
            raise UserError(f"{paths.PARAMS} is not here, so say which model: --model models:/NAME@champion")
        folder = _champion(params.load().register.name)
    elif model.startswith("models:"):
        from seq2seq.registry import download_model

        folder = download_model(model)
    else:
        folder = Path(model)
    from seq2seq.translator import Translator

    return Translator.from_folder(folder)


def _champion(name: str) -> Path:
    """The files of what serves; where nothing does, the error says what else there is to translate with."""
    from seq2seq.registry import download_model

    try:
        return download_model(f"models:/{name}@champion")
    except UserError as error:
        if not paths.MODEL.is_dir():
            raise
        raise UserError(
            f"{error}; `--model {paths.MODEL}` translates with what was trained here last"
        ) from None


def _warn_of_unknown(translator: Translator, texts: Iterable[str], warned: set[str]) -> None:
    """Name the words that training never saw, each once."""
    words = dict.fromkeys(word for text in texts for word in translator.unknown_words(text))
    if new := [word for word in words if word not in warned]:
        warned.update(new)
        print(f"never seen in training: {', '.join(new)}", file=sys.stderr, flush=True)


def _translate_and_draw(translator: Translator, text: str, options: argparse.Namespace) -> None:
    from seq2seq.figures import attention_map

    _warn_of_unknown(translator, [text], set())
    [found] = translator.translate_fully([text], beam=options.beam)
    print(found.text, flush=True)
    if not found.target_pieces:
        raise UserError("--attention: an empty text has no picture")
    if found.attention_TS is None:
        raise UserError("--attention: this model was trained with `attention: none`, there is none to draw")
    attention_map(options.attention, found.source_pieces, found.target_pieces, found.attention_TS)
    print(f"attention: {options.attention}", file=sys.stderr)


def _check_picture(options: argparse.Namespace) -> None:
    if len(options.text) != 1:
        raise UserError("--attention: one picture shows one sentence, give exactly one as an argument")
    _check_suffix("--attention", options.attention)


def _check_suffix(option: str, picture: Path) -> None:
    if picture.suffix not in PICTURES:
        raise UserError(f"{option}: {picture} must end in {', '.join(PICTURES)}")


def _from_terminal(options: argparse.Namespace) -> bool:
    return not options.text and options.file is None and sys.stdin.isatty()


def _texts(options: argparse.Namespace) -> Iterator[str]:
    """The texts to translate, in order; what cannot be read raises UserError before a model is loaded."""
    if options.text and options.file is not None:
        raise UserError("translate: give sentences or --file, not both")
    if options.text:
        for number, text in enumerate(options.text, 1):
            if not text.isprintable() and any("\udc80" <= character <= "\udcff" for character in text):
                raise UserError(f"argument {number} is not UTF-8: {text!r}")
        return iter(options.text)
    if options.file is None:
        if _from_terminal(options):
            print("one sentence a line, Ctrl-D ends", file=sys.stderr)
        return _decoded("stdin", sys.stdin.buffer)
    try:
        return _decoded(str(options.file), _closing(options.file.open("rb")))
    except OSError as error:
        raise UserError(f"--file: {options.file}: {error.strerror}") from None


def _closing(file: BinaryIO) -> Iterator[bytes]:
    with file:
        yield from file


def _decoded(name: str, lines: Iterable[bytes]) -> Iterator[str]:
    """Lines of UTF-8 without their ends; raises UserError naming the line that is none."""
    for number, line in enumerate(lines, 1):
        try:
            text = line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            raise UserError(
                f"{name}, line {number}: byte 0x{line[error.start]:02x} at position {error.start} is not "
                "UTF-8: convert it first, e.g. `iconv -f LATIN1 -t UTF-8`"
            ) from None
        yield text.rstrip("\r\n")
