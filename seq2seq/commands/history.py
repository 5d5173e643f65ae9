"""`seq2seq history`: the promotion log of a model."""

from __future__ import annotations

import argparse
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
    show([asdict(entry) for entry in found], lambda _: promotions.table(found), options.json)
