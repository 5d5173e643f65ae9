"""`python -m benchmarks.noise_effect RECIPE`: the effect of planted noise, and of filters, on BLEU.

Why: the recall of a filter does not show its value, the model trained on its output does. The ten faults of
planted_noise.py, equally often, make a share of the training pairs; validation and test stay clean. The same
recipe is trained, with equal updates, on the clean pairs, on all pairs (filters off), on the pairs that the
filters of recipe `local` keep, and on those that the scores of the latter model keep besides.

Each training runs the stages in a copy of the code below .cache/noise, and is skipped if its result is
there.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from benchmarks import planted_noise
from benchmarks.corpus import RECIPES, ROOT
from seq2seq.common import environment, paths, recipes
from seq2seq.common.errors import UserError
from seq2seq.common.params import flatten, read_document, show
from seq2seq.data.corpus import Pair, read_split
from seq2seq.data.tidying import tidy

FOLDER = Path(".cache/noise")
NAME = "noise"  # of the registered scorer
LANGUAGES = ["ingest.source_language=de", "ingest.target_language=en"]
# The filters of one pair are off; duplicates and contamination are still dropped.
OFF = ["max_length_ratio=1000.0", "max_length_deviation=null", "min_letters=0.0", "drop_identical=false"]
OFF += ["source_script=null", "target_script=null", "markup=keep", "mojibake=keep", "same_numbers=false"]
OFF += ["same_addresses=false", "max_repetition=null", "same_case=false", "other_language=null"]
OFF += ["fold_duplicates=false"]
LIMITS = ["max_dropped=1.0", "max_contaminated=1.0", "min_kept=0.0"]  # no filter stops a run
CLEAN, NOISY, FILTERED, SCORED = ARMS = ("clean", "noisy", "filtered", "scored")


class Result(NamedTuple):
    """A training's corpus and scores on the clean test set."""

    pairs: int  # of train, after `clean`
    noise: int  # of these, not among the clean pairs
    lost: int  # clean pairs that are not among them
    bleu: float
    chrf: float
    updates: int  # of the best validation loss


def stage(folder: Path, *arguments: str) -> None:
    """Run a command of `python -m seq2seq` in a folder; raises UserError with its output."""
    done = subprocess.run(
        [sys.executable, "-m", "seq2seq", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": "", "MLFLOW_TRACKING_URI": f"sqlite:///{folder.parent}/mlflow.db"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    with (folder / "log").open("a") as log:
        log.write(done.stdout)
    if done.returncode:
        raise UserError(f"{folder}: {arguments[0]} failed\n{done.stdout}")


def project(folder: Path, recipe: str, overrides: Sequence[str]) -> Path:
    """A new copy of the code with the parameters of a recipe."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name in ("seq2seq", "corpora", "recipes"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for file in ("dvc.yaml", paths.PARAMS.name):
        shutil.copyfile(ROOT / file, folder / file)
    recipes.apply(ROOT / paths.RECIPES / f"{recipe}.yaml", overrides, folder / paths.PARAMS)
    return folder


def write_splits(folder: Path, splits: Mapping[str, Sequence[Pair]]) -> None:
    """Write a corpus of three splits as TSV."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, pairs in splits.items():
        lines = ("\t".join(" ".join(text.split()) for text in pair[:2]) + "\n" for pair in pairs)
        (folder / f"{name}.tsv").write_text("".join(lines), encoding="utf-8")


def corpora(recipe: str, share: float, overrides: Sequence[str]) -> Path:
    """The folder of the clean and the noisy corpus; made once."""
    made = FOLDER.absolute() / recipe / "corpora"
    if (made / "done").is_file():
        return made
    base = project(FOLDER.absolute() / recipe / "base", recipe, overrides)
    stage(base, "ingest")
    splits = {name: list(read_split(base / paths.RAW, name)) for name in paths.SPLITS}
    train = splits["train"]
    each = round(len(train) * share / (1 - share) / len(planted_noise.KINDS))
    noisy, _ = planted_noise.plant(train, each, seed=1)
    write_splits(made / CLEAN, splits)
    write_splits(made / NOISY, splits | {"train": noisy})
    (made / "done").write_text(f"{len(train)} clean pairs, {each} faults of each kind\n", encoding="utf-8")
    return made


def settings(arm: str) -> list[str]:
    """The values of `clean` in an arm, as overrides."""
    if arm in (CLEAN, NOISY):
        return [f"clean.{value}" for value in (*OFF, *LIMITS)]
    local = flatten(read_document(ROOT / paths.RECIPES / "local.yaml")["clean"])
    chosen = [f"clean.{key}={show(value)}" for key, value in local.items()]
    return [*chosen, *(f"clean.{value}" for value in LIMITS)]


def train(arm: str, recipe: str, made: Path, overrides: Sequence[str], scores: Sequence[str]) -> Result:
    """The result of an arm, stored in its folder."""
    folder = FOLDER.absolute() / recipe / arm
    stored = folder / "result.json"
    if not stored.is_file():
        ours = [f"ingest.path={made / (CLEAN if arm == CLEAN else NOISY)}", *LANGUAGES]
        ours += ["ingest.source_column=0", "ingest.target_column=1", "ingest.train_size=null"]
        project(folder, recipe, [*overrides, *ours, f"register.name={NAME}-{recipe}", *settings(arm)])
        if arm == SCORED:
            scorer = f"score.model=models:/{NAME}-{recipe}@challenger"
            stage(folder, "use", *(word for value in (scorer, *scores) for word in ("--set", value)))
        for name in (
            "ingest",
            *(["score"] if arm == SCORED else []),
            "clean",
            "tokenize",
            "train",
            "evaluate",
        ):
            stage(folder, name)
        if arm == FILTERED:
            stage(folder, "register")
        stored.write_text(json.dumps(measured(folder, made)._asdict()), encoding="utf-8")
    return Result(**json.loads(stored.read_text(encoding="utf-8")))


def measured(folder: Path, made: Path) -> Result:
    """The result of a finished training."""

    def key(source: str, target: str) -> tuple[str, str]:
        return tidy(source, "NFC"), tidy(target, "NFC")

    lines = (made / CLEAN / "train.tsv").read_text(encoding="utf-8").splitlines()
    good = {key(*line.split("\t")) for line in lines}
    kept = [key(*pair[:2]) for pair in read_split(folder / paths.CORPUS, "train")]
    noise = sum(pair not in good for pair in kept)
    scores = json.loads((folder / paths.METRICS).read_text(encoding="utf-8"))["test"]
    curve = (folder / paths.CURVE).read_text(encoding="utf-8").splitlines()[1:]
    best = min((line.split(",") for line in curve), key=lambda row: float(row[3]))
    lost = len(good) - len(good.intersection(kept))
    return Result(len(kept), noise, lost, scores["bleu"], scores["chrf"], int(best[0]))


def table(results: Mapping[str, Result]) -> list[str]:
    """The results as a Markdown table."""
    lines = [
        "| trained on | pairs | of these noise | clean pairs lost | BLEU | chrF |",
        "|---|---|---|---|---|---|",
    ]
    for arm, r in results.items():
        noise = f"{r.noise:,} ({r.noise / r.pairs:.1%})"
        lines.append(f"| {arm} | {r.pairs:,} | {noise} | {r.lost:,} | {r.bleu:.1f} | {r.chrf:.1f} |")
    return lines


def main(arguments: Sequence[str] | None = None) -> int:
    """Train the arms that have no result yet, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("recipe", choices=sorted(RECIPES), help="whose corpus and model are used")
    parser.add_argument("--share", type=float, default=0.2, help="of the noise in the training pairs")
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=ARMS)
    parser.add_argument("--set", action="append", default=[], help="section.key=value, e.g. fewer updates")
    parser.add_argument(
        "--score", action="append", default=[], help="score.key=value of the arm `scored`, e.g. its threshold"
    )
    options = parser.parse_args(arguments)
    environment.configure_process()
    try:
        made = corpora(options.recipe, options.share, options.set)
        print(f"{options.recipe}: {(made / 'done').read_text(encoding='utf-8')}", end="", flush=True)
        results = {}
        for arm in options.arms:
            results[arm] = train(arm, options.recipe, made, options.set, options.score)
            print(f"{arm}: {results[arm]}", flush=True)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print("\n".join(table(results)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
