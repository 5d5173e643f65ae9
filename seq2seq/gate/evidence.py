"""Facts about a challenger and a champion: `python -m seq2seq.gate.evidence models:/NAME/3 [models:/NAME/2]`.

Why: a verdict rests on measurements made at the time of the decision: both registered versions translate the
frozen evaluation set and the behaviour suite, scored as in `evaluate`. The results go to
reports/evidence.json; seq2seq/gate/policy.py decides.

exit status: 0 the evidence is written; 2 an error to correct; 75 a server is unreachable
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import re
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from seq2seq.common import environment, params, paths
from seq2seq.common.errors import TransientError, UserError
from seq2seq.common.files import write_json
from seq2seq.common.progress import duration
from seq2seq.common.schema import Evaluate, Params
from seq2seq.data import direction
from seq2seq.data.corpus import Pair, read_split, split_path
from seq2seq.evaluation import bleu_tokenizer, scores
from seq2seq.gate import behaviour
from seq2seq.gate.candidates import Candidate, predict_both
from seq2seq.tracking import client
from seq2seq.tracking.registry import Version

CHUNK = 1000  # sentences per request, as in `evaluate`: other batches change the last bits of sums
# Share of translations that may differ from those of `evaluate` (one may always). On the same machine none
# should; on another processor, or with another batch size, ties are broken differently, depending on the
# precision. With bf16 the encoder stays in float32 on CUDA, which alone changed 3 % of Multi30k's test set.
DIFFERING = {"fp32": 0.01, "bf16": 0.1, "int8": 0.1}
SHOWN = 10  # regressions and gains
TIMED = 50  # sentences by which the latency is measured


def compare_versions(checked: Params, challenger: str, champion: str | None) -> dict[str, Any]:
    """The evidence on versions given as models:/NAME/VERSION; raises UserError, TransientError.

    A version that does not load or answer, or answers differently than when evaluated, is evidence, not an
    error.
    """
    frozen, suite = checked.evaluate.frozen_set, checked.promote.behaviour
    metrics, pairs = _metrics(frozen), list(read_split(paths.CORPUS, frozen))
    run = behaviour.load(Path(suite)).build_cases(pairs) if suite else behaviour.SuiteRun([])
    sources = [pair.source for pair in pairs]
    requests = [sources[begin : begin + CHUNK] for begin in range(0, len(sources), CHUNK)]
    requests.append(sorted(set(run.sources()) - set(sources)))

    tokenizer = bleu_tokenizer.choose(checked.evaluate.bleu_tokenizer, direction.read(paths.CORPUS).target)
    ours, theirs = predict_both(
        challenger, champion, requests, TIMED if checked.promote.max_latency_ratio else 0
    )
    difference = _other_direction(ours.version, theirs.version) if theirs else ""
    if theirs and difference:  # its scores on these sentences are meaningless
        theirs = Candidate(theirs.version, [], difference)
    references = [pair.target for pair in pairs]
    new = ours.first(len(pairs))
    old = theirs.first(len(pairs)) if theirs else []
    segments = _segments(pairs)
    problem = ours.problem or _deviation(new, segments, checked.evaluate)
    evidence = {
        "set": {"name": frozen, "digest": scores.set_digest(pairs), "sentences": len(pairs)},
        "signatures": scores.signatures(tokenizer),
        "direction": difference,
        "challenger": {
            **_scored(ours._replace(problem=problem), new, references, tokenizer),
            "answers_as_evaluated": not problem,
        },
        "champion": theirs and _scored(theirs, old, references, tokenizer),
        "tests": None,
        "slices": _slices(segments, new, old, references, tokenizer),
        "behaviour": [],
        "contaminated": metrics[frozen]["contaminated"],
        "licences": ours.version.tags.get("corpus.licences"),
        "metrics": {
            "digest": metrics["digests"][frozen],
            "signatures": metrics["signatures"],
            "model_digest": metrics["model_digest"],
        },
        "regressions": [],
        "gains": [],
    }
    if new:
        other = theirs.translations(requests) if theirs and old else None
        evidence["behaviour"] = run.judge(ours.translations(requests), other)
    if new and old:
        tests = scores.paired_test(old, new, references, tokenizer=tokenizer)
        evidence["tests"] = {name: test._asdict() for name, test in tests.items()}
        evidence["regressions"], evidence["gains"] = _changes(pairs, old, new)
    return evidence


def _other_direction(challenger: Version, champion: Version) -> str:
    """The reason why two versions are not comparable; empty if they are.

    Versions without tags of the direction (earlier releases) are compared by the columns that their runs
    record.
    """
    if "source.language" not in champion.tags:
        ours, theirs = _columns(challenger), _columns(champion)
        if ours and theirs and ours != theirs:
            return f"read {' → '.join(theirs)} of its corpus, the challenger {' → '.join(ours)}"
    return direction.difference(challenger.tags, champion.tags)


def _columns(version: Version) -> list[str] | None:
    """Source and target column of the run that made a version; None without a record."""
    run = client.get_or_none(lambda: client.connect().get_run(version.run_id))
    if run is None:
        return None
    found = []
    for side in direction.SIDES:  # `ingest.source_column`, since format 5 of params.yaml of each source
        keys = [
            key for key in run.data.params if re.fullmatch(rf"ingest\.(sources\..*\.)?{side}_column", key)
        ]
        found += [run.data.params[keys[0]]] if len(keys) == 1 else []
    return found if len(found) == len(direction.SIDES) else None


def _metrics(frozen: str) -> Any:
    """The results of `evaluate` for the model in this folder; raises UserError if they are missing."""
    for path in (split_path(paths.CORPUS, frozen), paths.METRICS, paths.SEGMENTS, paths.SLICES):
        if not path.is_file():
            raise UserError(f"{path} is missing: `dvc repro evaluate`")
    metrics = json.loads(paths.METRICS.read_text(encoding="utf-8"))
    if frozen not in metrics.get("digests", {}):
        raise UserError(f"{paths.METRICS} has no evaluation set {frozen!r}: `dvc repro evaluate`")
    return metrics


def _segments(pairs: Sequence[Pair]) -> list[dict[str, Any]]:
    """The results of `evaluate` per sentence; empty if they are for other sentences."""
    with paths.SEGMENTS.open(encoding="utf-8") as file:
        segments = [json.loads(line) for line in file]
    evaluated = [(segment["source"], segment["reference"]) for segment in segments]
    return segments if evaluated == [(pair.source, pair.target) for pair in pairs] else []


def _deviation(answers: Sequence[str], segments: Sequence[Mapping[str, Any]], how: Evaluate) -> str:
    """How answers differ from the evaluated translations; empty if they agree."""
    if not segments:
        file = split_path(paths.CORPUS, how.frozen_set)
        return f"{paths.SEGMENTS} has other sentences than {file}: `dvc repro evaluate`"
    evaluated = [segment["hypothesis"] for segment in segments]
    differing = [i for i, (one, other) in enumerate(zip(answers, evaluated, strict=True)) if one != other]
    if len(differing) <= max(1, DIFFERING[how.precision] * len(evaluated)):
        return ""
    source, then = segments[differing[0]]["source"], evaluated[differing[0]]
    return (
        f"{len(differing):,} of {len(evaluated):,} translations differ from the evaluated ones: "
        f"{source!r:.80} gives {answers[differing[0]]!r:.80}, evaluated was {then!r:.80}"
    )


def _scored(
    candidate: Candidate, hypotheses: Sequence[str], references: Sequence[str], tokenizer: str
) -> dict[str, Any]:
    """A version and its scores."""
    found = None
    if hypotheses:
        found = {name: scores.score(name, hypotheses, references, tokenizer) for name in scores.METRICS}
    version = candidate.version
    about = {"uri": version.uri, "version": version.version, "problem": candidate.problem, "scores": found}
    return {**about, "size": candidate.size, "latency": candidate.latency}


def _slices(
    segments: Sequence[Mapping[str, Any]],
    new: Sequence[str],
    old: Sequence[str],
    references: Sequence[str],
    tokenizer: str,
) -> list[dict[str, Any]]:
    """BLEU of each slice, in the order of reports/slices.csv."""
    if not (segments and new):
        return []
    with paths.SLICES.open(encoding="utf-8", newline="") as file:
        names = [row["slice"] for row in csv.DictReader(file)]
    found = []
    for name in names:
        rows = [i for i, segment in enumerate(segments) if name in segment["slices"]]
        if not rows:  # the slice of all sentences: see `scores`
            continue
        ours, wanted = [new[i] for i in rows], [references[i] for i in rows]
        row: dict[str, Any] = {"slice": name, "sentences": len(rows)}
        row |= {
            "challenger": scores.score("bleu", ours, wanted, tokenizer),
            "champion": None,
            "delta": None,
            "p": None,
        }
        if old:
            theirs = [old[i] for i in rows]
            row["champion"] = scores.score("bleu", theirs, wanted, tokenizer)
            row |= scores.paired_test(theirs, ours, wanted, ("bleu",), tokenizer)["bleu"]._asdict()
        found.append(row)
    return found


def _changes(
    pairs: Sequence[Pair], old: Sequence[str], new: Sequence[str]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The sentences with the largest losses and with the largest gains in chrF."""
    changed = []
    for pair, one, other in zip(pairs, old, new, strict=True):
        if one != other:
            before, after = (scores.sentence_chrf(text, pair.target) for text in (one, other))
            row = {"source": pair.source, "reference": pair.target, "champion": one, "challenger": other}
            changed.append({**row, "champion_chrf": before, "challenger_chrf": after})
    changed.sort(key=_gain)
    worse = [row for row in changed if _gain(row) < 0][:SHOWN]
    return worse, [row for row in reversed(changed) if _gain(row) > 0][:SHOWN]


def _gain(row: Mapping[str, Any]) -> float:
    return float(row["challenger_chrf"] - row["champion_chrf"])


def _format(evidence: Mapping[str, Any]) -> str:
    """The evidence in one line."""
    frozen, parts = evidence["set"], []
    for role in ("challenger", "champion"):
        if one := evidence[role]:
            figure = f" BLEU {one['scores']['bleu']:.2f}" if one["scores"] else ""
            trouble = f" ({one['problem']})" if one["problem"] else ""
            parts.append(f"{role} version {one['version']}{figure}{trouble}")
    decided = [check["ok"] for check in evidence["behaviour"] if check["ok"] is not None]
    checks = f"; {sum(decided)} of {len(decided)} checks pass" if decided else ""
    return f"{', '.join(parts)} on {frozen['name']} ({frozen['sentences']:,} sentences){checks}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Write reports/evidence.json; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m seq2seq.gate.evidence", description="Compare two versions."
    )
    parser.add_argument("challenger", help="models:/NAME/VERSION")
    parser.add_argument("champion", nargs="?", help="models:/NAME/VERSION")
    options = parser.parse_args(arguments)
    environment.configure_process()
    began = time.monotonic()
    try:
        evidence = compare_versions(params.load(), options.challenger, options.champion)
    except (UserError, TransientError) as error:
        print(f"error: {error}", file=sys.stderr)
        return os.EX_TEMPFAIL if isinstance(error, TransientError) else 2
    write_json(paths.EVIDENCE, evidence)
    print(f"evidence: {_format(evidence)}, {duration(time.monotonic() - began)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
