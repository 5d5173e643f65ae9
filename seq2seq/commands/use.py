"""`seq2seq use`: apply a recipe and single values to params.yaml, or bring it to the current format."""

from __future__ import annotations

import argparse

from seq2seq.commands.printing import show_changes
from seq2seq.common import paths, recipes
from seq2seq.common.errors import UserError
from seq2seq.data import own_corpus
from seq2seq.tracking import named_versions


def run(options: argparse.Namespace) -> None:
    """Apply a recipe and single values to params.yaml; prints the changes."""
    if options.upgrade:
        upgrade(options)
        return
    if options.recipe is None and not options.set:
        names = ", ".join(sorted(path.stem for path in paths.RECIPES.glob("*.yaml")))
        raise UserError(f"use: name a recipe ({names}) or give --set section.key=value")
    recipe = recipes.recipe_path(options.recipe) if options.recipe else None
    changes = recipes.apply(recipe, named_versions.resolve(options.set), complete=own_corpus.complete)
    show_changes(changes, paths.PARAMS)


def upgrade(options: argparse.Namespace) -> None:
    """Bring params.yaml, or a recipe, to the current format; prints the changes."""
    from seq2seq.commands import upgrades

    if options.set:
        raise UserError("use: --upgrade changes no results; give --set in a separate call")
    path = recipes.recipe_path(options.recipe) if options.recipe else paths.PARAMS
    changes = upgrades.upgrade(path)
    show_changes(changes, path)
    if changes:
        print("\n".join(f"note: {note}" for note in upgrades.notes(changes[0][1])))
