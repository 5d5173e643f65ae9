"""The schema of params.yaml: reads, checks and writes the file.

Why: every entry validates the whole file before any work, so that an error in `train:` does not surface after
`clean`. The module imports nothing heavy. No key has a default: the file is complete.
"""

from __future__ import annotations

import difflib
import warnings
from collections.abc import Iterable, Mapping
from io import StringIO
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap
from ruamel.yaml.error import YAMLError

from seq2seq.common import files, paths
from seq2seq.common.errors import UserError

RESERVED_METRIC_KEYS = ("frozen_set", "digests", "signatures", "model_digest")
FORMAT = 5  # of params.yaml and recipes; `seq2seq.commands.upgrades` has the steps between formats
# Folders that runs empty before writing, and that `make clean` empties.
OUTPUTS = (
    *(paths.RAW, paths.MIXED, paths.SCORED, paths.CORPUS, paths.VOCABULARY, paths.TOKENS, paths.MODEL),
    paths.REPORTS,
    *(paths.PROVENANCE, paths.CHECKPOINTS),
)

Positive = Annotated[int, Field(gt=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]
Precision = Literal["fp32", "bf16"]
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


class ParamsError(UserError):
    """An invalid params file, recipe or `--set`; the text has key, value and remedy."""


class Section(BaseModel):
    """A section of params.yaml: no unknown keys, no defaults, no silent conversions."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


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

    algorithm: Literal["unigram", "bpe"]
    vocabulary_size: Annotated[int, Field(ge=300)]  # 256 bytes, 4 special pieces, some characters
    character_coverage: Annotated[float, Field(ge=0.98, le=1)]
    source_normalization: Normalization
    target_normalization: Normalization
    training_sentences: Positive
    min_coverage: Share | None
    min_language_share: Share | None
    seed: Seed


class Train(Section):
    """The model and its optimisation."""

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
    precision: Precision
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


with warnings.catch_warnings():
    # pydantic warns that the section `register` hides a method of the metaclass, which is not used.
    warnings.simplefilter("ignore", UserWarning)

    class Params(Section):
        """All of params.yaml."""

        format: Literal[5]
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
    *("unicode_form", "tidy_evaluation", "markup", "mojibake", "duplicates", "fold_duplicates"),
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


def load(path: Path = paths.PARAMS) -> Params:
    """Read and check a whole params file; raises ParamsError."""
    return check(read_document(path), path)


def check(values: Mapping[str, Any], path: Path) -> Params:
    """Check parsed values; the error names `path`."""
    check_format(values, path)
    try:
        checked = Params.model_validate(values)
    except ValidationError as error:
        problems = "\n".join(f"  {_explain(e)}" for e in error.errors())
        raise ParamsError(f"{path} cannot be used:\n{problems}") from None
    if problem := _disagreement(checked):
        raise ParamsError(f"{path} cannot be used:\n  {problem}")
    return checked


def write(document: Mapping[str, Any], path: Path) -> None:
    """Replace `path` by a document atomically."""
    rewritten = StringIO()
    round_trip_yaml().dump(document, rewritten)
    files.write_atomically(path, rewritten.getvalue())


def flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """{"train": {"seed": 1}} -> {"train.seed": 1}."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = value
    return flat


def show(value: Any) -> str:
    """A value in the notation of params.yaml."""
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def round_trip_yaml() -> YAML:
    """A reader and writer of YAML that keeps comments, quotes and the spelling of null."""
    yaml = YAML()  # YAML 1.2, as DVC reads it: `off` is a string, `1e-3` a number
    yaml.preserve_quotes = True
    yaml.width = 200
    yaml.representer.add_representer(
        type(None), lambda r, _: r.represent_scalar("tag:yaml.org,2002:null", "null")
    )
    return yaml


def read_document(path: Path) -> CommentedMap:
    """A params file or recipe with its comments, unchecked; raises ParamsError."""
    try:
        document = round_trip_yaml().load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ParamsError(f"{path} is missing: run from the project's root folder") from None
    except UnicodeDecodeError as error:
        raise ParamsError(f"{path} is not valid YAML: {error}") from None
    except YAMLError as error:
        mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        reason = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise ParamsError(f"{path}{line} is not valid YAML: {reason}") from None
    if not isinstance(document, CommentedMap):
        raise ParamsError(f"{path} has no sections")
    return document


def check_format(document: Mapping[str, Any], path: Path) -> None:
    """Raise ParamsError, naming the remedy, for a file of another format than this release reads."""
    found = document.get("format", 1)  # the first format had no number
    if found != FORMAT and isinstance(found, int):
        remedy = (
            f"`seq2seq use --upgrade{'' if path.name == paths.PARAMS.name else f' {path}'}` adds the missing "
            "keys with the values that keep its results, and maps moved paths"
            if found < FORMAT
            else "a newer release wrote it: update this checkout"
        )
        raise ParamsError(f"{path} has format {found}, this release reads format {FORMAT}: {remedy}")


def suggest(word: str, known: Iterable[str]) -> str:
    """The most similar of the known words, as the end of a message; empty if there is none."""
    close = difflib.get_close_matches(word, list(known), n=1)
    return f" (did you mean {close[0]}?)" if close else ""


def _disagreement(checked: Params) -> str:
    """The contradiction between two keys; empty if there is none."""
    sources, training = checked.ingest.sources, checked.ingest.training_sources
    for name, source in sources.items():
        if source.role == "evaluation" and name in (*paths.SPLITS, *RESERVED_METRIC_KEYS):
            return f"ingest.sources.{name}: the name is in use, give the source another one"
        if output := _output_over(source.path):
            return (
                f"ingest.sources.{name}.path: {source.path!r} is not allowed, it is in {output} or "
                "contains it: runs and `make clean` remove files there; move the corpus, e.g. into corpora/"
            )
    if not any(sources[name].held_out for name in training):
        return (
            "ingest.sources: one at least has role: train and held_out: true, for validation and test pairs"
        )
    for side in ("source_language", "target_language"):
        if problem := _languages_differ(side, {name: getattr(sources[name], side) for name in sources}):
            return problem
    if problem := _overrides(checked.clean):
        return problem
    for key, named in (("mix.weights", checked.mix.weights), ("clean.by_source", checked.clean.by_source)):
        if unknown := named.keys() - set(training):
            return f"{key}: no source to train on is {min(unknown)!r}; there are: {', '.join(training)}"
    if (frozen := checked.evaluate.frozen_set) not in ("test", *(sets := checked.ingest.evaluation_sets)):
        known = ", ".join(["test", *sets])
        return f"evaluate.frozen_set: {frozen!r} is not an evaluation set; there are: {known}"
    scorer = {key: getattr(checked.score, key) is not None for key in ("model", "version", "digest")}
    if len({*scorer.values()}) > 1:
        missing = ", ".join(f"score.{key}" for key, given in scorer.items() if not given)
        return f"{missing}: missing; `seq2seq use --set score.model=models:/NAME@ALIAS` writes all three"
    limits = (
        key for key in ("min_log_probability", "worst_share") if getattr(checked.score, key) is not None
    )
    if not scorer["model"] and (key := next(limits, "")):
        return f"score.{key}: there are no scores, since score.model is null: set it to null, or name a model"
    if (train := checked.train).patience < train.validate_every:
        return f"train.patience: {train.patience} is below train.validate_every, {train.validate_every}"
    return ""


def _overrides(clean: Clean) -> str:
    """What is wrong with the values of `clean.by_source`; empty if nothing is."""
    for name, values in clean.by_source.items():
        if other := values.keys() - OF_A_PAIR:
            known = suggest(min(other), OF_A_PAIR) or f"; there are: {', '.join(sorted(OF_A_PAIR))}"
            return f"clean.by_source.{name}.{min(other)}: no key for a source alone{known}"
        try:
            Clean.model_validate(clean.model_dump() | values)
        except ValidationError as error:
            return f"clean.by_source.{name}: {_explain(error.errors()[0])}"
    return ""


def _languages_differ(key: str, tags: Mapping[str, str | None]) -> str:
    """The two sources that name different languages for one side; regions and scripts may differ."""
    found: dict[str | None, str] = {}
    for name, tag in tags.items():
        found.setdefault(tag and tag.split("-")[0].casefold(), name)
    if len(found) < 2:
        return ""
    first, second = list(found.values())[:2]
    return (
        f"ingest.sources: {key} is {show(tags[first])} in {first} and {show(tags[second])} in {second}; all "
        "sources of a model have the same languages: name them in each"
    )


def _output_over(corpus: str) -> Path | None:
    """The folder of outputs that contains a corpus or is contained in it; None if there is none."""
    place = Path(corpus).resolve()
    for output in OUTPUTS:
        folder = output.resolve()
        if place == folder or folder in place.parents or place in folder.parents:
            return output
    return None


def _explain(error: Any) -> str:
    """One line for one pydantic error: key, value, allowed values."""
    location = [str(part) for part in error["loc"]]
    of_source = location[:2] == ["ingest", "sources"]
    key = ".".join(location[: 4 if of_source else 3 if location[:1] == ["mix"] else 2])
    match error["type"]:
        case "extra_forbidden":
            section = Params.model_fields.get(location[0]) if len(location) > 1 else None
            of: Any = Source if of_source and len(location) > 3 else section and section.annotation
            fields: Any = getattr(of, "model_fields", Params.model_fields)
            return f"{key}: unknown key{suggest(location[-1], fields)}"
        case "missing":
            return f"{key}: missing{', write unknown if it is' if location[-1] == 'licence' else ''}"
        case "literal_error":
            return f"{key}: {error['input']!r} is not allowed, only {error['ctx']['expected']}"
        case _:
            allowed = error["msg"].removeprefix("Input ")
            return f"{key}: {error['input']!r} is not allowed, it {allowed}"
