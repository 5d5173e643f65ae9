"""Training further: the weights of a registered version as the start of a training.

Why: a version learns new words or another domain in a small part of the updates that it took itself. Its
optimiser is not kept, so that learning rate and warm-up are those of this training.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import torch

from seq2seq.common import paths
from seq2seq.common.errors import UserError
from seq2seq.common.params import show
from seq2seq.common.schema import NamedVersion
from seq2seq.data.vocabulary import PARENT_WORDS_FILE, WORDS_FILE
from seq2seq.nn import model_files, model_folder
from seq2seq.nn.model import Config, Seq2Seq
from seq2seq.training import registered

KEY = "train.start_from"
# Fields of a config, keys of `train` as well, on which the shapes of weights depend; dropout may differ.
SHAPES = (
    *("attention", "embedding_size", "hidden_size", "attention_size", "layers", "tie_embeddings"),
    "layer_norm",
)


def load(model: Seq2Seq, start: NamedVersion, vocabulary: Path = paths.VOCABULARY) -> None:
    """Set the weights of a model, of that vocabulary, to those of a version.

    Raises UserError if it is missing, or if its languages, vocabulary or sizes are others, naming the keys;
    TransientError for an unreachable registry.
    """
    remedy = (
        f"`seq2seq use --set {KEY}=models:/{start.model}@champion` names another version, "
        f"`--set {KEY}=null` begins with random weights"
    )
    folder = registered.find(KEY, start.model, start.version, start.digest, remedy)
    registered.check_languages(KEY, start.model, start.version, folder, vocabulary, remedy)
    if model_files.vocabulary_bytes(folder) != model_files.vocabulary_bytes(vocabulary):
        raise UserError(
            f"{KEY}: {vocabulary} is not the vocabulary of {start}: tokenize.vocabulary_from names the same "
            "version, and `dvc repro tokenize` takes it over"
        )
    try:
        parent = model_folder.load(folder)
    except UserError as error:  # a folder of another format
        raise UserError(f"{KEY}: {error}; {remedy}") from None
    if keys := different_keys(model.config, parent.config):
        theirs = asdict(parent.config)
        shown = ", ".join(f"train.{key} is {show(theirs[key])} in {start}" for key in keys)
        values = " ".join(f"--set train.{key}={show(theirs[key])}" for key in keys)
        raise UserError(
            f"{KEY}: {shown}, and another value in params.yaml: `seq2seq use {values}` takes these, "
            f"`--set {KEY}=null` begins with random weights"
        )
    weights = dict(parent.named_parameters())
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(weights[name])
    print(f"train: starts from the weights of {start}", flush=True)


def add_words(vocabulary: Path, folder: Path) -> None:
    """Add the source words of the parent's training data to the list in a model folder.

    Without either list the folder gets none: a model with a list warns of all other words.
    """
    earlier, ours = vocabulary / PARENT_WORDS_FILE, folder / WORDS_FILE
    if not (earlier.is_file() and ours.is_file()):
        ours.unlink(missing_ok=True)
        return
    every = {line for path in (earlier, ours) for line in path.read_text(encoding="utf-8").split("\n")}
    ours.write_text("".join(f"{word}\n" for word in sorted(every) if word), encoding="utf-8")


def different_keys(ours: Config, theirs: Config) -> list[str]:
    """The keys of `train` in which two configs differ so that their weights do; sorted as in params.yaml."""
    one, other = asdict(ours), asdict(theirs)
    keys = [key for key in SHAPES if one[key] != other[key]]
    if ours.attention != "additive" and theirs.attention != "additive":
        keys = [key for key in keys if key != "attention_size"]  # which only additive attention has
    return keys
