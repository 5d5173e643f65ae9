"""The common setting of all contestants: their names, the model's sizes, and its training.

Why: only figures of one setting are comparable. Imports are light, since other systems use this module too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from seq2seq.nn.model import Config

NAIVE = "naive tutorial loop"
HOISTED = "hoisted tutorial loop"
REFERENCE = "reference loop, model.py"
REFERENCE_SEARCH = "reference search, search.py"
FAST = "fast path, fp32"
FAST_BF16 = "fast path, bf16"
FAST_INT8 = "fast path, int8"
JOEYNMT = "JoeyNMT 2.3.0"

PIECES = 8000  # of the joint SentencePiece unigram vocabulary
EMBEDDING = 256
UNITS = 512  # of each encoder direction, and of the decoder
ATTENTION = 512
DROPOUT = 0.3
SMOOTHING = 0.1
LEARNING_RATE = 1e-3  # of Adam
CLIP_NORM = 1.0
SENTENCES = 128  # a batch in training, on average
SEED = 1

BEAM = 5
TOGETHER = 64  # sentences decoded together
SINGLES = 20  # sentences decoded one by one in a step
FORCED = 15  # tokens of every hypothesis of untrained models: equal work for all


def config(vocabulary_size: int) -> Config:
    """The config of seq2seq/nn/model.py with these sizes."""
    from seq2seq.nn.model import Config

    return Config(
        vocabulary_size=vocabulary_size,
        embedding_size=EMBEDDING,
        hidden_size=UNITS,
        attention_size=ATTENTION,
        layers=1,
        attention="additive",
        dropout=DROPOUT,
        tie_embeddings=False,
    )
