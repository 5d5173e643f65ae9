"""Reads, checks and writes params.yaml.

Why: every entry validates the whole file before any work, so that an error in `train:` does not surface after
`clean`. The module imports nothing heavy.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from io import StringIO
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap
from ruamel.yaml.error import YAMLError

from seq2seq.common import files, paths
from seq2seq.common.errors import UserError
from seq2seq.common.schema import OF_A_PAIR, Clean, Params, Source

RESERVED_METRIC_KEYS = ("frozen_set", "digests", "signatures", "model_digest")
FORMAT = 7  # of params.yaml and recipes; `seq2seq.commands.upgrades` has the steps between formats
# Folders that runs empty before writing, and that `make clean` empties.
OUTPUTS = (
    *(paths.RAW, paths.MIXED, paths.SCORED, paths.CORPUS, paths.VOCABULARY, paths.TOKENS, paths.MODEL),
    paths.REPORTS,
    *(paths.PROVENANCE, paths.CHECKPOINTS),
)


class ParamsError(UserError):
    """An invalid params file, recipe or `--set`; the text has key, value and remedy."""


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
            return (
                f"{key}: no source to train on is {min(unknown)!r}; there are: {', '.join(training)}; "
                f"to remove it: --set {key}.{min(unknown)}=null"
            )
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
    if checked.clean.keep == "best_scored" and checked.score.model is None:
        return "clean.keep: there are no scores, since score.model is null: set it to first, or name a model"
    if (start := checked.train.start_from) and checked.tokenize.vocabulary_from != start:
        return (
            f"tokenize.vocabulary_from: train.start_from is {start}, whose vocabulary is needed: "
            f"`seq2seq use --set train.start_from=models:/{start.model}/{start.version}` sets both"
        )
    if (train := checked.train).patience < train.validate_every:
        return f"train.patience: {train.patience} is below train.validate_every, {train.validate_every}"
    return ""


def _overrides(clean: Clean) -> str:
    """The first mistake in the values of `clean.by_source`; empty if there is none."""
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
    nested = location[:1] == ["mix"] or location[1:2] in (["start_from"], ["vocabulary_from"])
    key = ".".join(location[: 4 if of_source else 3 if nested else 2])
    match error["type"]:
        case "extra_forbidden":
            section = Params.model_fields.get(location[0]) if len(location) > 1 else None
            of: Any = Source if of_source and len(location) > 3 else section and section.annotation
            fields: Any = getattr(of, "model_fields", Params.model_fields)
            return f"{key}: unknown key{suggest(location[-1], fields)}"
        case "missing":
            return f"{key}: missing{', write unknown if it is' if location[-1] == 'licence' else ''}"
        case "model_type":
            how = f"`seq2seq use --set {key}=models:/NAME@ALIAS` writes model, version and digest"
            return f"{key}: {error['input']!r} is not allowed; {how}"
        case "literal_error":
            return f"{key}: {error['input']!r} is not allowed, only {error['ctx']['expected']}"
        case _:
            allowed = error["msg"].removeprefix("Input ")
            return f"{key}: {error['input']!r} is not allowed, it {allowed}"
