"""`seq2seq translate`: text, lines of a file or stdin, a line of output for each.

Why: heavy libraries are imported only after the command line is checked.
"""

from __future__ import annotations

import argparse
import os
import select
import sys
from collections.abc import Iterable, Iterator
from itertools import count, islice
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, NamedTuple, TypeVar

from seq2seq.common import document_formats as formats
from seq2seq.common import params, paths
from seq2seq.common.errors import UserError

if TYPE_CHECKING:
    from seq2seq.inference.translation import Translation
    from seq2seq.inference.translator import Translator

BATCH = 64  # lines translated together at most; their order stays
CHUNK = 1 << 16  # bytes read from a pipe at once
LEFT_OUT = 1  # exit status of `translate` where a line was not translated
DIVIDED = "a sentence too long for the model is translated in parts: divided"
UNCALIBRATED = (
    "uncalibrated: this model has no calibration, so that the column of confidence is empty; the score is "
    "the log-probability by length^length_penalty"
)
PICTURES = (".png", ".pdf", ".svg")
T = TypeVar("T")


class Line(NamedTuple):
    """A line to translate."""

    name: str  # file and line, or argument
    text: str
    problem: str = ""  # the reason if it is unreadable


def run(options: argparse.Namespace) -> int:
    """Translate the arguments, a file or stdin, one line of output each; warns of unknown words.

    A line that cannot be translated is named on stderr, and its line of output is empty. Returns LEFT_OUT
    if there is one.
    """
    if options.text and (options.output or all(map(formats.is_document, options.text))):
        if options.file is not None or options.attention is not None:
            raise UserError("translate: files go without --file and --attention")
        from seq2seq.commands import translate_files

        folder = model_folder(options.model)
        if options.confidence:
            warn_uncalibrated(folder)
        return translate_files.run(options, folder)
    if any(map(formats.is_document, options.text)):
        raise UserError("translate: give sentences or files, not both")
    if options.output is not None:
        raise UserError("--output: name the files to translate")
    lines = _lines(options)
    if options.attention is not None:
        _check_picture(options)
    folder = model_folder(options.model)
    translator = _translator(folder, options.glossary)
    if options.confidence:
        warn_uncalibrated(folder)
    if options.attention is not None:
        _translate_and_draw(translator, options.text[0], options)
        return 0
    warned: set[str] = set()
    left_out = 0
    for batch in lines:
        problems = {i: line.problem for i, line in enumerate(batch) if line.problem}
        good = [i for i in range(len(batch)) if i not in problems]
        if options.refuse_long:
            refused = translator.refusals([batch[i].text for i in good])
            problems |= {good[i]: reason for i, reason in refused.items()}
        good = [i for i in good if i not in problems]
        for i, reason in sorted(problems.items()):
            print(f"{batch[i].name}: {reason}; left out", file=sys.stderr, flush=True)
        _warn(translator, [batch[i] for i in good], warned)
        texts = [batch[i].text for i in good]
        found = dict(zip(good, translate_all(translator, texts, options), strict=True))
        for i, line in enumerate(batch):
            if i in found and found[i].splits:
                print(f"{line.name}: {DIVIDED} {found[i].splits:,} times", file=sys.stderr, flush=True)
            print(_shown(found.get(i), options.confidence))
        sys.stdout.flush()
        left_out += len(problems)
    if left_out:
        print(f"{left_out:,} left out: their lines of output are empty", file=sys.stderr)
    return LEFT_OUT if left_out else 0


def _shown(found: Translation | None, with_confidence: bool) -> str:
    """A line of output; with confidence also that and the score, between tabs."""
    if not with_confidence:
        return found.text if found else ""
    sure, score = (found.confidence, found.score) if found else (None, None)
    figures = ("" if value is None else f"{value:.4f}" for value in (sure, score))
    return "\t".join([found.text.replace("\t", " ") if found else "", *figures])


def warn_uncalibrated(folder: Path) -> None:
    """Name a model whose confidence is not calibrated."""
    from seq2seq.inference import confidence

    if confidence.read(folder) is None:
        print(UNCALIBRATED, file=sys.stderr, flush=True)


def translate_all(translator: Translator, texts: list[str], options: argparse.Namespace) -> list[Translation]:
    """The translation of each text, without attention; sentences that are too long are divided."""
    return translator.translate_fully(
        texts, beam=options.beam, warn=False, divide=not options.refuse_long, attend=False
    )


def _translator(folder: Path, glossary: Path | None) -> Translator:
    from seq2seq.inference.translator import Translator

    return Translator.from_folder(folder, glossary=glossary)


def model_folder(model: str | None) -> Path:
    """The files of a registered model or a folder; the default is the champion of params.yaml."""
    if model is None:
        if not paths.PARAMS.is_file():
            raise UserError(f"{paths.PARAMS} is missing, so name the model: --model models:/NAME@champion")
        return _champion(params.load().register.name)
    if model.startswith("models:"):
        from seq2seq.tracking.registry import download_model

        return download_model(model)
    return Path(model)


def _champion(name: str) -> Path:
    """The files of the champion; without one, the error names the model folder as an alternative."""
    from seq2seq.tracking.registry import download_model

    try:
        return download_model(f"models:/{name}@champion")
    except UserError as error:
        if not paths.MODEL.is_dir():
            raise
        raise UserError(
            f"{error}; `--model {paths.MODEL}` translates with the model trained here last"
        ) from None


def _warn(translator: Translator, lines: Iterable[Line], warned: set[str]) -> None:
    """Name lines unlike those of training, and words not in training, each once."""
    words: dict[str, None] = {}
    for line in lines:
        words |= dict.fromkeys(translator.unknown_words(line.text))
        if doubts := translator.doubts(line.text):
            print(f"{line.name}: {'; '.join(doubts)}", file=sys.stderr, flush=True)
    if new := [word for word in words if word not in warned]:
        warned.update(new)
        print(f"not seen in training: {', '.join(new)}", file=sys.stderr, flush=True)


def _translate_and_draw(translator: Translator, text: str, options: argparse.Namespace) -> None:
    from seq2seq.evaluation.plots import attention_map

    _warn(translator, [Line("argument 1", text)], set())
    [found] = translator.translate_fully([text], beam=options.beam, warn=False)
    print(found.text, flush=True)
    if not found.target_pieces:
        raise UserError("--attention: an empty text has no attention")
    if found.attention_TS is None:
        raise UserError("--attention: this model was trained with `attention: none`")
    attention_map(options.attention, found.source_pieces, found.target_pieces, found.attention_TS)
    print(f"attention: {options.attention}", file=sys.stderr)


def _check_picture(options: argparse.Namespace) -> None:
    if len(options.text) != 1:
        raise UserError("--attention: a picture shows one sentence: give exactly one argument")
    if options.attention.suffix not in PICTURES:
        raise UserError(f"--attention: {options.attention} must end in {', '.join(PICTURES)}")


def _lines(options: argparse.Namespace) -> Iterator[list[Line]]:
    """The lines to translate, in portions; raises UserError for a file that cannot be opened."""
    if options.text and options.file is not None:
        raise UserError("translate: give sentences or --file, not both")
    if options.text:
        return _portions(_argument(number, text) for number, text in enumerate(options.text, 1))
    if options.file is None:
        if sys.stdin.isatty():
            print("one sentence a line, Ctrl-D ends", file=sys.stderr)
        numbers = count(1)
        arriving = _arriving(sys.stdin.buffer)
        return ([_decoded("stdin", next(numbers), line) for line in portion] for portion in arriving)
    try:
        lines = enumerate(_closing(options.file.open("rb")), 1)
    except OSError as error:
        raise UserError(f"--file: {options.file}: {error.strerror}") from None
    return _portions(_decoded(str(options.file), number, line) for number, line in lines)


def _portions(items: Iterable[T]) -> Iterator[list[T]]:
    items = iter(items)
    while portion := list(islice(items, BATCH)):
        yield portion


def _closing(file: BinaryIO) -> Iterator[bytes]:
    with file:
        yield from file


def _arriving(stream: BinaryIO) -> Iterator[list[bytes]]:
    """The available lines of a stream, in portions: a writer that waits for each answer gets it."""
    try:
        descriptor = stream.fileno()
    except OSError:  # a stream in memory
        yield from _portions(stream)
        return
    lines: list[bytes] = []
    rest = bytearray()  # of an incomplete line
    data = b"?"
    while data or lines:
        if data and len(lines) < BATCH and (not lines or select.select([descriptor], [], [], 0)[0]):
            data = os.read(descriptor, CHUNK)
            rest += data
            if b"\n" in data or (not data and rest):
                *complete, last = bytes(rest).split(b"\n")
                lines += complete if data else [*complete, last]
                rest = bytearray(last if data else b"")
        else:
            yield lines[:BATCH]
            del lines[:BATCH]


def _argument(number: int, text: str) -> Line:
    # Python decodes bytes that are not UTF-8 to surrogates.
    wrong = not text.isprintable() and any("\udc80" <= character <= "\udcff" for character in text)
    return Line(f"argument {number}", "" if wrong else text, f"not UTF-8: {text!r}" if wrong else "")


def _decoded(name: str, number: int, line: bytes) -> Line:
    """A line without its end."""
    try:
        text = line.decode("utf-8-sig" if number == 1 else "utf-8")
    except UnicodeDecodeError as error:
        problem = (
            f"byte 0x{line[error.start]:02x} at position {error.start} is not UTF-8: convert it first, "
            "e.g. `iconv -f LATIN1 -t UTF-8`"
        )
        return Line(f"{name}, line {number}", "", problem)
    return Line(f"{name}, line {number}", text.rstrip("\r\n"))
