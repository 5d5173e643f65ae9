"""A small model that has learnt a lexicon, word order and symbols within seconds, and its version's files."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import torch

from seq2seq.data import direction
from seq2seq.data.direction import Direction, Side
from seq2seq.data.placeholders import SYMBOLS
from seq2seq.data.vocabulary import FILE, Vocabulary, learn
from seq2seq.inference.decoding import FILE as DECODING
from seq2seq.inference.decoding import Decoding
from seq2seq.nn import model_folder
from seq2seq.nn.attention import AttentionKind
from seq2seq.nn.batches import collate
from seq2seq.nn.model import Config, Seq2Seq
from seq2seq.training.loss import cross_entropy

NOUNS = {
    "Hund": "dog",
    "Katze": "cat",
    "Haus": "house",
    "Garten": "garden",
    "Buch": "book",
    "Kind": "child",
    "Vogel": "bird",
    "Baum": "tree",
    "Fenster": "window",
    "Tisch": "table",
}
VERBS = {
    "schläft": "sleeps",
    "läuft": "runs",
    "singt": "sings",
    "wartet": "waits",
    "liest": "reads",
    "kommt": "comes",
}
PLACES = {"im": "in the", "auf dem": "on the", "unter dem": "under the", "neben dem": "beside the"}
ADVERBS = {"heute": "today", "nicht": "not", "gern": "gladly", "oft": "often", "dort": "there"}
UPDATES, BATCH = 250, 32


def pair(rng: random.Random, symbols: bool = True) -> tuple[str, str]:
    """A sentence and its translation: an adverb goes to the end; a symbol may take a noun's place."""
    written = iter(SYMBOLS)

    def noun() -> tuple[str, str]:
        if symbols and rng.random() < 0.3:
            return (symbol := next(written)), symbol
        return rng.choice([*NOUNS.items()])

    subject, verb = noun(), rng.choice([*VERBS.items()])
    source, target = f"das {subject[0]} {verb[0]}", f"the {subject[1]} {verb[1]}"
    adverb = rng.choice([*ADVERBS.items()]) if rng.random() < 0.6 else None
    if adverb:
        source += f" {adverb[0]}"
    if rng.random() < 0.7:
        place, ground = rng.choice([*PLACES.items()]), noun()
        source, target = f"{source} {place[0]} {ground[0]}", f"{target} {place[1]} {ground[1]}"
    if adverb:
        target += f" {adverb[1]}"
    end = rng.choice([".", ".", "!", ""])
    return source[:1].upper() + source[1:] + end, target[:1].upper() + target[1:] + end


def make_model(folder: Path, attention: AttentionKind = "dot", updates: int = UPDATES, beam: int = 4) -> Path:
    """A model folder with the settings of a registered version, learnt from generated pairs."""
    rng = random.Random(1)
    pairs = [pair(rng) for _ in range(2000)]
    model, size = learn(
        [text for both in pairs for text in both],
        algorithm="unigram",
        size=420,
        character_coverage=1.0,
        normalization="nmt_nfkc",
        symbols=SYMBOLS,
    )
    folder.mkdir(parents=True)
    (folder / FILE).write_bytes(model)
    vocabulary = Vocabulary(model)
    torch.manual_seed(1)
    sizes: Any = {"embedding_size": 32, "hidden_size": 32, "attention_size": 32, "layers": 1}
    built = Seq2Seq(
        Config(vocabulary_size=size, attention=attention, dropout=0.0, tie_embeddings=True, **sizes)
    )
    sides = [vocabulary.encode_all([one[side] for one in pairs]) for side in (0, 1)]
    optimizer = torch.optim.Adam(built.parameters(), lr=0.01)
    for update in range(updates):
        rows = rng.sample(range(len(pairs)), BATCH)
        batch = collate(*([side[row] for row in rows] for side in sides))
        logits_BTV, _ = built(batch.source_BS, batch.source_lengths_B, batch.input_BT)
        optimizer.param_groups[0]["lr"] = 0.01 * (1 - update / updates)
        optimizer.zero_grad()
        cross_entropy(logits_BTV, batch.output_BT, 0.1).backward()
        torch.nn.utils.clip_grad_norm_(built.parameters(), 1.0)
        optimizer.step()
    model_folder.save(built, folder)
    direction.write(folder, Direction(Side("de", "Latin"), Side("en", "Latin")))
    settings = Decoding(beam=beam, max_length=60).stored("de")
    (folder / DECODING).write_text(json.dumps(settings), encoding="utf-8")
    return folder
