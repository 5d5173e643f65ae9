"""`seq2seq corrections`: review the corrections that users send, and export the accepted ones.

Why: a correction of an unknown sender is trained on only after a person has read it.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence

from seq2seq.commands.printing import show
from seq2seq.common import paths, workspace
from seq2seq.common.errors import UserError
from seq2seq.common.plain import line
from seq2seq.corrections import data_files, store
from seq2seq.corrections.store import Correction, Range

WIDEST = 40  # characters of a text in the table
VERBS = {"accept": store.ACCEPTED, "reject": store.REJECTED}


def run(options: argparse.Namespace) -> None:
    """Carry out one action; raises UserError and TransientError of the store."""
    if options.action == "list":
        found = store.find(state=None if options.all else options.state or store.NEW, sender=options.who)
        show([one._asdict() for one in found], lambda _: _table(found), options.json)
    elif options.action == "show":
        found = store.find(_ranges(options))
        show([one._asdict() for one in found], lambda _: _details(found), options.json)
    elif options.action == "export":
        _export(options)
    else:
        _review(options)


def _ranges(options: argparse.Namespace) -> list[Range]:
    return [Range(*ends) for ends in options.numbers]


def _review(options: argparse.Namespace) -> None:
    state = VERBS[options.action]
    if bool(options.numbers) == options.all:
        raise UserError(f"corrections {options.action}: name numbers (3 5-9), or give --all")
    found = store.find(_ranges(options), store.NEW if options.all else None, options.who)
    moved = store.review([one.id for one in found], state, options.by or workspace.author())
    print(f"{state}: {len(moved):,}" + (f" ({_numbers(moved)})" if moved else ""))
    if before := len(found) - len(moved):
        print(f"already {state}: {before:,}")


def _export(options: argparse.Namespace) -> None:
    from seq2seq.corrections.export import export

    file = options.file
    held_out = options.held_out or file.with_name(f"{file.stem}-held-out{file.suffix}")
    if file.resolve() == held_out.resolve():
        raise UserError(f"{file} cannot be both files: name another with --held-out")
    if file.suffix != ".jsonl" or held_out.suffix != ".jsonl":
        raise UserError(f"{file} and {held_out} have to end with .jsonl")
    languages = options.source_language, options.target_language
    if any(languages) and not all(languages):
        raise UserError("give both --from and --to, or neither")
    found = export(file, held_out, options.share, languages if all(languages) else None)
    print(f"{file}: {found.train:,} pairs {' → '.join(found.columns)}" + "; unchanged" * (not found.changed))
    print(f"{held_out}: {found.held_out:,} pairs held out")
    if found.superseded:
        print(f"{found.superseded:,} left out: a later accepted correction has the same source")
    for path, count in ((file, found.train), (held_out, found.held_out)):
        if not count:
            print(f"note: {path} is empty; `ingest` refuses an empty source, so name it once it has pairs")
    files = [file, held_out]
    if options.track or data_files.any_tracked(files):
        data_files.track(files)
        records = " ".join(str(data_files.record_of(path)) for path in files)
        print(f"under `dvc add`; for scheduled runs: git add {records} && git commit -m 'Corrections'")
    else:
        print("for scheduled runs, which see committed files only: `seq2seq corrections export --track`")


def _table(found: Sequence[Correction]) -> Iterator[str]:
    if not found:
        yield f"no such correction in {paths.CORRECTIONS}"
        return
    rows = [("number", "state", "received", "who", "version", "source", "suggestion")]
    for one in found:
        who, version, source, suggestion = map(_short, (one.who, one.version, one.source, one.suggestion))
        rows.append((str(one.id), one.state, one.received[:16], who, version, source, suggestion))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()


def _details(found: Sequence[Correction]) -> Iterator[str]:
    for one in found:
        fields = one._asdict()
        width = max(map(len, fields))
        yield from (f"{name:<{width}}  {line(str(value))}".rstrip() for name, value in fields.items())
        yield ""


def _short(text: str) -> str:
    text = line(text)
    return text if len(text) <= WIDEST else f"{text[: WIDEST - 1]}…"


def _numbers(moved: Sequence[int]) -> str:
    """Numbers in ascending order, as ranges: 1-3, 7."""
    parts: list[Range] = []
    for number in sorted(moved):
        if parts and parts[-1].last == number - 1:
            parts[-1] = parts[-1]._replace(last=number)
        else:
            parts.append(Range(number, number))
    return ", ".join(map(str, parts))
