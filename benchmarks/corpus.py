"""The corpus of the contests, made by the project's own stages below .cache/bench.

Why: all contestants get the same sentences and the same pieces: of Multi30k or, if it is unavailable, of the
built-in grammar.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
from ruamel.yaml import YAML

from benchmarks import setting
from seq2seq.common import params, paths, recipes
from seq2seq.data.corpus import read_split
from seq2seq.data.tokens import TokenSplit
from seq2seq.data.vocabulary import FILE, Vocabulary

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / ".cache/bench"
RECIPES = {"multi30k": "corpora/multi30k.yaml", "grammar": "corpora/grammar-de-en.yaml"}
STAGES = ("ingest", "mix", "score", "clean", "tokenize")
PAIRS = 29_000  # of the grammar: as many as Multi30k has


def workspace(name: str, recipe: str, overrides: list[str]) -> Path:
    """A folder for running stages with a recipe's parameters; emptied when these change."""
    folder = FOLDER / name
    draft = FOLDER / "params.yaml"
    FOLDER.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(ROOT / paths.PARAMS, draft)
    path = f"ingest.path={ROOT / RECIPES[recipe]}"
    recipes.apply(ROOT / paths.RECIPES / f"{recipe}.yaml", [path, *overrides], draft)
    kept = folder / paths.PARAMS
    if not kept.is_file() or kept.read_bytes() != draft.read_bytes():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        draft.replace(kept)
    draft.unlink(missing_ok=True)
    return folder


def source(folder: Path) -> str:
    """The name of the source of a workspace's corpus, which has one."""
    [name] = params.load(folder / paths.PARAMS).ingest.sources
    return name


def stage(name: str, folder: Path) -> None:
    """Run a stage in a folder; raises CalledProcessError with its output."""
    command = [sys.executable, "-m", "seq2seq", name, *([source(folder)] if name == "ingest" else [])]
    subprocess.run(
        command, cwd=folder, check=True, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )


def make(recipe: str) -> Path:
    """The workspace of a corpus, after its stages up to the token ids; raises CalledProcessError."""
    overrides = [
        f"ingest.train_size={PAIRS if recipe == 'grammar' else 'null'}",
        f"tokenize.vocabulary_size={setting.PIECES}",
    ]
    folder = workspace(recipe, recipe, overrides)
    stamp, made_of = folder / "made-of", digest(recipe)
    if not stamp.is_file() or stamp.read_text() != made_of:
        stamp.unlink(missing_ok=True)  # written at the end: incomplete work is repeated
        for name in STAGES:
            stage(name, folder)
        stamp.write_text(made_of)
    return folder


def digest(recipe: str) -> str:
    """sha256 of the code of these stages, by their deps in dvc.yaml, and of the recipe's source."""
    stages = YAML(typ="safe").load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    of_each = [stages[name].get("do", stages[name]) for name in STAGES]
    named = {dep for stage in of_each for dep in stage["deps"] if dep.endswith(".py")}
    made_of = hashlib.sha256()
    for path in sorted({*named, RECIPES[recipe]}):
        made_of.update((ROOT / path).read_bytes())
    return made_of.hexdigest()


def describe(folder: Path) -> str:
    """One line about a corpus."""
    split = TokenSplit(folder / paths.TOKENS, "train")
    return (
        f"{folder.name}, {len(split):,} pairs, {Vocabulary.load(folder / paths.VOCABULARY).size:,} pieces, "
        f"{np.mean(split.source_lengths):.1f} in a source and {np.mean(split.target_lengths):.1f} in a target"
    )


def as_text(folder: Path) -> Path:
    """The same corpus as plain text, a sentence a line, and its SentencePiece model, for other systems."""
    text = folder / "text"
    text.mkdir(exist_ok=True)
    for split in paths.SPLITS:
        pairs = list(read_split(folder / paths.CORPUS, split))
        for side in ("source", "target"):
            lines = "".join(" ".join(getattr(pair, side).split()) + "\n" for pair in pairs)
            (text / f"{split}.{side}").write_text(lines, encoding="utf-8")
    shutil.copyfile(folder / paths.VOCABULARY / FILE, text / FILE)
    vocabulary = Vocabulary.load(folder / paths.VOCABULARY)
    pieces = vocabulary.pieces(list(range(vocabulary.size)))
    (text / "pieces.txt").write_text("".join(f"{piece}\n" for piece in pieces), encoding="utf-8")
    return text
