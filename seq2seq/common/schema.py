"""The schema of params.yaml: a class for each section, with the types and limits of its keys.

Why: every entry checks the whole file, and nothing else decides what a key may be. The module imports nothing
heavy. No key of a section has a default: the file is complete. A source may leave keys out.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Positive = Annotated[int, Field(gt=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]
Precision = Literal["fp32", "bf16"]
SearchPrecision = Literal[Precision, "int8"]
BleuTokenizer = Literal[
    "13a", "intl", "zh", "ja-mecab", "ko-mecab", "char", "none", "flores101", "flores200", "spBLEU-1K"
]  # sacreBLEU's names
Column = str | Annotated[int, Field(ge=0)]
SetName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")]
Script = Annotated[str, Field(pattern=r"^[A-Z][a-z]+$")] | None
# BCP 47: a language, optionally with script, region and variant: de, pt-BR, zh-Hant
Language = Annotated[str, Field(pattern=r"^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*$")] | None
RegisteredName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Normalization = Literal["nmt_nfkc", "nfkc", "nmt_nfkc_cf", "nfkc_cf", "identity"]


class Section(BaseModel):
    """A section of params.yaml: no unknown keys, no defaults, no silent conversions."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


UNKNOWN_LICENCE = "unknown"


class Source(Section):
    """A source of the corpus, of which only path and licence have no default.

    `path` is a grammar, a corpus (a file or a folder of splits) or a pin. The pairs of a source with the
    role `evaluation` are an evaluation set of the source's name.
    """

    path: Annotated[str, Field(min_length=1)]
    licence: Annotated[str, Field(min_length=1)]  # an SPDX identifier or a text; "unknown" if it is
    attribution: str | None = None
    role: Literal["train", "evaluation"] = "train"
    source_column: Column = 0
    target_column: Column = 1
    source_language: Language = None
    target_language: Language = None
    train_size: Positive | None = None
    held_out: bool = True  # whether validation and test have pairs of it


class NamedVersion(Section):
    """A registered version by number and digest: DVC compares values, and does not track aliases."""

    model: RegisteredName
    version: Positive
    digest: Digest  # sha256 of its model folder

    def __str__(self) -> str:
        return f"{self.model} version {self.version}"


class Ingest(Section):
    """The sources of the corpus and their splits."""

    sources: Annotated[dict[SetName, Source], Field(min_length=1)]
    validation_size: Positive
    test_size: Positive
    max_malformed_rows: Annotated[int, Field(ge=0)]
    seed: Seed

    @property
    def training_sources(self) -> list[str]:
        """The names of the sources to train on, sorted: the order in a mapping has no meaning."""
        return sorted(name for name, source in self.sources.items() if source.role == "train")

    @property
    def evaluation_sets(self) -> list[str]:
        """The names of the sources that are evaluation sets beside validation and test, sorted."""
        return sorted(name for name, source in self.sources.items() if source.role == "evaluation")


class Mix(Section):
    """The mixture of the sources."""

    weights: dict[SetName, Annotated[float, Field(gt=0, le=100, allow_inf_nan=False)]]


class Score(Section):
    """The registered version that scores the training pairs, and the scores of pairs that are dropped."""

    model: RegisteredName | None
    version: Positive | None
    digest: Digest | None
    min_log_probability: Annotated[float, Field(le=0, allow_inf_nan=False)] | None
    worst_share: Annotated[float, Field(gt=0, lt=1)] | None


class Clean(Section):
    """The filters of pairs."""

    unicode_form: Literal["NFC", "NFKC", "none"]
    tidy_evaluation: bool
    max_characters: Positive
    max_length_ratio: Annotated[float, Field(ge=1)]
    typical_length_ratio: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None
    max_length_deviation: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None
    min_letters: Share
    source_script: Script
    target_script: Script
    min_script: Share
    drop_identical: bool
    markup: Literal["keep", "drop", "repair"]
    mojibake: Literal["keep", "drop", "repair"]
    same_numbers: bool
    same_addresses: bool
    max_repetition: Positive | None
    same_sentence_end: bool
    same_case: bool
    other_language: Annotated[float, Field(gt=0, le=1)] | None
    opusfilter: list[dict[str, dict[str, Any] | None]]
    duplicates: Literal["pair", "source", "target"]
    fold_duplicates: bool
    keep: Literal["first", "best_scored"]
    contamination: Literal["drop", "report", "fail"]
    contamination_share: Annotated[float, Field(gt=0, le=1)]
    max_dropped: Share
    max_contaminated: Share
    min_kept: Share
    by_source: dict[SetName, dict[str, Any]]

    def of_source(self, name: str) -> Clean:
        """The values for the pairs of a source."""
        return self.model_copy(update=self.by_source.get(name, {}))


class Tokenize(Section):
    """The SentencePiece model."""

    vocabulary_from: NamedVersion | None
    algorithm: Literal["unigram", "bpe"]
    vocabulary_size: Annotated[int, Field(ge=300)]  # 256 bytes, 4 special pieces, some characters
    character_coverage: Annotated[float, Field(ge=0.98, le=1)]
    source_normalization: Normalization
    target_normalization: Normalization
    training_sentences: Positive
    masked_share: Share
    min_coverage: Share | None
    min_language_share: Share | None
    seed: Seed


class Train(Section):
    """The model and its optimisation."""

    start_from: NamedVersion | None
    seed: Seed
    attention: Literal["additive", "dot", "general", "none"]
    embedding_size: Positive
    hidden_size: Positive
    attention_size: Positive
    layers: Positive
    dropout: Annotated[float, Field(ge=0, lt=1)]
    label_smoothing: Annotated[float, Field(ge=0, lt=1)]
    tie_embeddings: bool
    layer_norm: bool
    precision: Precision
    batch_tokens: Positive
    max_tokens: Positive
    updates: Positive
    learning_rate: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    warmup_updates: Annotated[int, Field(ge=0)]
    weight_decay: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    clip_norm: Annotated[float, Field(gt=0)]
    validate_every: Positive
    patience: Positive
    checkpoint_every: Positive
    learns_within: Positive | None


class Evaluate(Section):
    """Search for translations, and evaluation."""

    beam: Annotated[int, Field(ge=1, le=100)]
    length_penalty: Annotated[float, Field(ge=0, le=10)]
    max_length: Annotated[int, Field(gt=0, le=1000)]
    precision: SearchPrecision
    split_sentences: bool
    batch_size: Positive
    length_bins: Annotated[int, Field(ge=1, le=40)]  # each is a slice: see Promote.significance
    pictures: Annotated[int, Field(ge=0)]
    frozen_set: SetName
    bleu_tokenizer: BleuTokenizer | None
    rare_words: Annotated[int, Field(ge=0)]
    negations: list[str]


class Register(Section):
    """The registered model's name."""

    name: RegisteredName


class Promote(Section):
    """The gate's policy."""

    frozen_digest: Digest | None
    minimum_bleu: Annotated[float, Field(ge=0)]
    significance: Annotated[float, Field(ge=0.005, lt=1)]  # for all slices together; p is at least 0.0001
    margin: Annotated[float, Field(ge=0)]
    worst_slice: Annotated[float, Field(ge=0)]
    smallest_slice: Positive
    maximum_contaminated: Annotated[int, Field(ge=0)]
    licences: list[str] | None
    max_drift: Share | None
    behaviour: Annotated[str, Field(min_length=1)] | None
    approval: Literal["none", "required"]
    max_size_ratio: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None
    max_latency_ratio: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None


with warnings.catch_warnings():
    # pydantic warns that the section `register` hides a method of the metaclass, which is not used.
    warnings.simplefilter("ignore", UserWarning)

    class Params(Section):
        """All of params.yaml."""

        format: Literal[7]
        ingest: Ingest
        mix: Mix
        score: Score
        clean: Clean
        tokenize: Tokenize
        train: Train
        evaluate: Evaluate
        register: Register
        promote: Promote


# Keys of `clean` that a source may have values of its own for: those that depend on one pair.
OF_A_PAIR = Clean.model_fields.keys() - {
    *("unicode_form", "tidy_evaluation", "markup", "mojibake", "duplicates", "fold_duplicates", "keep"),
    *("contamination", "contamination_share", "max_dropped", "max_contaminated", "min_kept", "by_source"),
}
SECTIONS: Mapping[str, type[Section]] = {
    "ingest": Ingest,
    "mix": Mix,
    "score": Score,
    "clean": Clean,
    "tokenize": Tokenize,
    "train": Train,
    "evaluate": Evaluate,
    "register": Register,
    "promote": Promote,
}
