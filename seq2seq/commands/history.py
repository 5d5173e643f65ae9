"""`seq2seq history`: the promotion log of a model."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import asdict

from seq2seq.commands.printing import show
from seq2seq.common import params, paths
from seq2seq.common.errors import UserError
from seq2seq.tracking import outbox, promotions, registry


def run(options: argparse.Namespace) -> None:
    """Print the promotion log of a model, newest entry first."""
    if options.name is None and not paths.PARAMS.is_file():
        raise UserError(f"{paths.PARAMS} is missing, so name the model: seq2seq history NAME")
    name = options.name or params.load().register.name
    registry.check_exists()
    outbox.deliver_all()
    found = promotions.entries(name)
    if not found:
        raise UserError(f"no version of {name} has been judged yet: {registry.list_alternatives(name)}")
    show([asdict(entry) for entry in found], lambda _: _lines(name, found), options.json)


def _lines(name: str, found: list[promotions.Entry]) -> Iterator[str]:
    """The log, and below it the version that waits for approval."""
    yield from promotions.table(found)
    if waiting := registry.version_by_alias(name, registry.WAITING):
        command = f"seq2seq approve {waiting.version} --name {name} --reason ..."
        yield f"version {waiting.version} waits for approval: `{command}`"
