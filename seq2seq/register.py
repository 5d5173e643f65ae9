"""register: model, reports of evaluate, provenance -> reports/{registration,summary}.json.

Why: a version is valid only if, loaded back from the registry, it translates as the model folder does. Then
it gets tags about its origin and the alias `challenger`.

The same model with the same decoding is not registered twice, as long as its version still works. The tag
with dvc.lock's hash refers to the lock before this stage: with all earlier stages, but not this one.
"""

from __future__ import annotations

import json
import os
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from seq2seq.common import paths, workspace
from seq2seq.common.errors import TransientError, UserError
from seq2seq.common.progress import duration
from seq2seq.common.schema import Params
from seq2seq.data import direction
from seq2seq.gate import isolated
from seq2seq.inference import packaging
from seq2seq.inference.decoding import Decoding
from seq2seq.inference.translator import Translator
from seq2seq.nn import model_folder
from seq2seq.nn.precision import BF16, choose_precision
from seq2seq.tracking import client, registry, runs, version_files
from seq2seq.tracking.registry import Version


def register(params: Params) -> None:
    """Register the model, or find its version; raises UserError, and TransientError for the server."""
    began = time.monotonic()
    metrics, samples, provenance = map(_read, (paths.METRICS, paths.SAMPLES, paths.PROVENANCE))
    digest = model_folder.digest(paths.MODEL)
    if metrics["model_digest"] != digest:
        raise UserError(f"{paths.METRICS} scores another model than {paths.MODEL}: `dvc repro evaluate`")
    how = params.evaluate
    decoding = Decoding(how.beam, how.length_penalty, how.max_length, how.precision, how.split_sentences)
    stored = decoding.stored(direction.read(paths.MODEL).source.language)
    name, scores = params.register.name, score_tags(metrics)

    identity = {"model_digest": digest, "decoding": json.dumps(stored)}
    # Sentences too long for the model have no pieces.
    sentences = [s["source"] for s in samples if s["source_pieces"]] or ["?"]
    version = registry.find_version(name, **identity)
    if version is None or not _still_works(version, sentences, decoding):
        version, outcome = _make(params, decoding, sentences, identity | scores, provenance), "registered"
    else:
        # The model is the same, but its evaluation sets may have changed.
        changed = {key: value for key, value in scores.items() if version.tags.get(key) != value}
        registry.tag_version(name, version.version, changed)
        with runs.model_run() as run:
            if not runs.is_evaluated(run):  # it was recreated
                runs.log_evaluation(run)
        outcome = "is registered already"
    with registry.promotions():  # the gate uses the alias too
        registry.set_alias(name, registry.CHALLENGER, version.version)

    record = {"name": name, "version": version.version, "model_digest": digest, "run_id": version.run_id}
    if version_files.ALL in version.tags:
        record["files_sha256"] = version.tags[version_files.ALL]
    _write(paths.REGISTRATION, record)
    _write(paths.SUMMARY, summary(record, metrics, samples, provenance))
    print(
        f"register: {name} version {version.version} {outcome}, alias {registry.CHALLENGER}, "
        f"BLEU {float(scores['bleu']):.2f}, in {duration(time.monotonic() - began)}"
    )


def score_tags(metrics: Mapping[str, Any]) -> dict[str, str]:
    """The tags by which versions are compared: scores, their signatures and evaluation set."""
    name = metrics["frozen_set"]
    return {
        **{key: str(metrics[name][key]) for key in (*metrics["signatures"], "contaminated")},
        **{f"{key}_signature": signature for key, signature in metrics["signatures"].items()},
        "frozen_set": name,
        "frozen_digest": metrics["digests"][name],
    }


def origin_tags(params: Params, provenance: Mapping[str, Any]) -> dict[str, str]:
    """Tags about a version's origin: commit, lock, parameters, corpus and flow run."""
    return {
        "git.commit": workspace.commit(),
        "git.dirty": workspace.dirty(),
        "dvc.lock.sha256": workspace.lock_digest(),
        "params.sha256": workspace.params_digest(params),
        "corpus.id": str(provenance.get("id") or provenance["path"]),
        "corpus.revision": str(provenance.get("revision") or workspace.NONE),
        **direction.tags(direction.read(paths.MODEL), provenance["kind"], provenance.get("columns", {})),
        "corpus.licences": json.dumps({name: of["licence"] for name, of in provenance["sources"].items()}),
        **workspace.start_tags(params),
        "prefect.flow_run_id": workspace.flow_run() or workspace.NONE,
    }


def summary(
    record: Mapping[str, str],
    metrics: Mapping[str, Any],
    samples: Sequence[Mapping[str, Any]],
    provenance: Mapping[str, Any],
) -> dict[str, Any]:
    """The contents of summary.json, shown at the end of a run."""
    return {
        "name": record["name"],
        "version": record["version"],
        "corpus": provenance.get("id") or provenance["path"],
        "corpus_kind": provenance["kind"],
        "revision": provenance.get("revision"),
        "licence": provenance.get("licence"),
        "rows": provenance["rows"],
        "frozen_set": metrics["frozen_set"],
        **metrics[metrics["frozen_set"]],
        "signatures": metrics["signatures"],
        "samples": samples,
    }


def _make(
    params: Params,
    decoding: Decoding,
    sentences: Sequence[str],
    tags: Mapping[str, str],
    provenance: Mapping[str, Any],
) -> Version:
    """Log the model to its training run, check the logged model, and register it as a version."""
    with runs.model_run() as run:
        run.log_workspace("register")
        if not runs.is_evaluated(run):  # it was recreated, on another server
            runs.log_evaluation(run)
        with client.translate_errors(is_long=True):
            calibration = paths.CONFIDENCE if paths.CONFIDENCE.is_file() else None
            uri = packaging.log_model(paths.MODEL, run.id, client.uri(), decoding, sentences, calibration)
        digests = file_digests(uri)
        check(uri, sentences, decoding)
        origin = origin_tags(params, provenance)
        return registry.register_version(params.register.name, uri, run.id, {**tags, **origin, **digests})


def file_digests(uri: str) -> dict[str, str]:
    """The tags with the digests of a logged model's files, as the store has them."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = registry.fetch(uri, Path(scratch, "model"))
        parts = {version_files.ALL: folder, version_files.MODEL: folder / registry.FOLDER}
        return {tag: version_files.digest(part) for tag, part in parts.items()}


def _still_works(version: Version, sentences: Sequence[str], decoding: Decoding) -> bool:
    """Whether a version still translates as the model folder; prints the reason if not."""
    try:
        check(version.uri, sentences, decoding)
    except TransientError:
        raise
    except RuntimeError as error:
        print(f"register: version {version.version} does not work any more: {error}", flush=True)
        return False
    return True


def check(uri: str, sentences: Sequence[str], decoding: Decoding) -> None:
    """Raise RuntimeError unless the logged model, in another process, translates as the model folder."""
    expected = Translator.from_folder(paths.MODEL).translate(sentences, *decoding, warn=False, divide=True)
    if decoding.precision == "bf16":  # the other process uses the same products, without measuring
        os.environ.setdefault(BF16, choose_precision("bf16", torch.device("cpu")).products)
    answers = isolated.query(uri, client.uri(), sentences)
    for sentence, answer, wanted in zip(sentences, answers, expected, strict=True):
        if answer != wanted:
            raise RuntimeError(f"{uri} translates {sentence!r} as {answer!r}, the model as {wanted!r}")


def _read(path: Path) -> Any:
    if not path.is_file():
        raise UserError(f"{path} is missing: `dvc repro` makes it")
    return json.loads(path.read_text(encoding="utf-8"))


def _write(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
