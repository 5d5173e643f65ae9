"""score: data/{mixed,raw} -> data/scores: the training pairs' log-probabilities under a registered model.

Why: lengths, scripts and identified languages do not show that a sentence is not the translation of the
other; a translation model does. A version is named by number and digest, since DVC does not track aliases.
Off (`score.model: null`), the stage writes no scores.

Shards of rows are scored one by one and kept below .checkpoints until all are: a killed run resumes and
gives the same bytes.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from seq2seq.common import files, memory, paths
from seq2seq.common.errors import UserError
from seq2seq.common.progress import Progress, duration
from seq2seq.common.schema import Clean, Params
from seq2seq.data import manifest, scores
from seq2seq.data.corpus import Pair
from seq2seq.data.manifest import Manifest
from seq2seq.data.tidying import tidied

if TYPE_CHECKING:
    from seq2seq.training.pair_scores import PairScorer

SHARD = 20_000  # rows; batches never cross its end
PORTION = 2_000  # rows scored between two lines of progress; batches do not cross its end either
STATE = "state.json"


def score(params: Params) -> None:
    """Score the training pairs of the mixture by the model of params.score.

    Raises UserError for a version that is missing, differs or has other languages, TransientError for an
    unreachable registry.
    """
    chosen = params.score
    if chosen.model is None:
        scores.write(paths.SCORED, np.empty(0, scores.SCORE), {"model": None, "rows": 0})
        print("score: off (score.model is null)")
        return
    # These import torch, which a run without scores needs not wait for.
    from seq2seq.common.device import choose_device
    from seq2seq.training import checkpoints, registered
    from seq2seq.training.pair_scores import PairScorer

    began = time.monotonic()
    mixture = manifest.read()
    mixture.check()
    named = chosen.model, int(chosen.version or 0)
    folder = registered.find("score", *named, str(chosen.digest), _remedy(chosen.model))
    languages = "name a model of the same languages, or set score.model: null"
    registered.check_languages("score.model", *named, folder, paths.MIXED, languages)
    forms = params.clean.unicode_form, params.clean.markup, params.clean.mojibake
    key = checkpoints.fingerprint("score", {"digest": chosen.digest, "forms": forms})
    work = paths.CHECKPOINTS / key
    device = choose_device("score")
    try:
        scorer = PairScorer.from_folder(folder, device)
    except UserError as error:  # a folder of another format
        raise UserError(f"score.version: {error}; {_remedy(chosen.model)}") from None
    memory.keep_freed_memory()
    _same_arithmetic(work, scorer)
    values = _score_all(work, scorer, params.clean, mixture)
    about = {
        **{"model": chosen.model, "version": chosen.version, "digest": chosen.digest, "rows": mixture.rows},
        "unscored": int(np.isnan(values).sum()),
        # Of the scored pairs, to choose a threshold by.
        "percentiles": {str(share): _percentile(values, share) for share in (1, 2, 5, 10, 20, 50)},
    }
    scores.write(paths.SCORED, values, about)
    shutil.rmtree(work)
    print(
        f"score: {mixture.rows:,} train pairs by {chosen.model} version {chosen.version} in "
        f"{duration(time.monotonic() - began)}; nats per token: median {_percentile(values, 50)}, "
        f"lowest 5 % below {_percentile(values, 5)}; without a score: {about['unscored']:,}"
    )


def _remedy(model: str) -> str:
    return (
        f"`seq2seq use --set score.model=models:/{model}@champion` names another version, "
        "`--set score.model=null` scores no pairs"
    )


def _score_all(work: Path, scorer: PairScorer, tidying: Clean, mixture: Manifest) -> scores.Values:
    """The scores of all rows; finished shards are read, others scored and kept in `work`."""
    rows = mixture.rows
    shards = [work / f"{number:06d}.f32" for number in range(-(-rows // SHARD))]
    finished = next((n for n, path in enumerate(shards) if not _is_whole(path, n, rows)), len(shards))
    if finished:
        print(f"score: resumes after {min(finished * SHARD, rows):,} pairs", flush=True)
    pairs = islice(mixture.train(), finished * SHARD, None)
    with Progress("score", "pairs", rows, start=min(finished * SHARD, rows)) as progress:
        for path in shards[finished:]:
            found = []
            for portion in _portions(islice(pairs, SHARD)):
                sources, targets, *_ = zip(*portion, strict=True)
                sides = ([tidied(text, tidying) for text in side] for side in (sources, targets))
                found.append(scorer.score(*sides))
                progress.advance(len(portion))
            with files.replacing(path) as draft:
                np.concatenate(found).tofile(draft)
    return np.concatenate([np.empty(0, scores.SCORE), *(np.fromfile(path, scores.SCORE) for path in shards)])


def _portions(pairs: Iterator[Pair]) -> Iterator[list[Pair]]:
    while portion := list(islice(pairs, PORTION)):
        yield portion


def _is_whole(path: Path, number: int, rows: int) -> bool:
    wanted = min(SHARD, rows - number * SHARD) * scores.SCORE.itemsize
    return path.is_file() and path.stat().st_size == wanted


def _same_arithmetic(work: Path, scorer: PairScorer) -> None:
    """Resume with the device and threads of the first shards, on which rounding depends, or begin again."""
    import torch

    from seq2seq.common.threads import keep_threads

    work.mkdir(parents=True, exist_ok=True)
    kept: dict[str, Any] = {}
    if (work / STATE).is_file():
        kept = json.loads((work / STATE).read_text(encoding="utf-8"))
        keep_threads("score", kept["threads"])
    now = {"device": scorer.device.type, "threads": torch.get_num_threads()}
    if kept and kept != now:
        print(f"score: begins again: it ran on {kept} before, now on {now}", flush=True)
        shutil.rmtree(work)
        work.mkdir(parents=True)
    files.write_json(work / STATE, now)


def _percentile(values: scores.Values, share: int) -> float | None:
    scored = values[~np.isnan(values)]
    return round(float(np.percentile(scored, share)), 3) if len(scored) else None
