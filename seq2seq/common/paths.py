"""Paths of all stages' files, relative to the project's root.

Why: dvc.yaml declares these paths and the stages open them; a test compares the two.
"""

from pathlib import Path

PARAMS = Path("params.yaml")
RECIPES = Path("recipes")

SPLITS = ("train", "validation", "test")  # of every corpus

RAW = Path("data/raw")  # ingest: a folder for each source, with {train,validation,test}.parquet
MIXED = Path("data/mixed")  # mix: a manifest of the sources, and all evaluation sets
PROVENANCE = Path("data/provenance.json")
SCORED = Path("data/scores")  # score: a log-probability of each training pair, if a model is named
CORPUS = Path("data/corpus")  # clean: train, cleaned, and the evaluation sets
VOCABULARY = Path("data/vocabulary")  # tokenize: SentencePiece model
TOKENS = Path("data/tokens")  # tokenize: the same splits as ids
MODEL = Path("model")  # train: weights, config, vocabulary
REPORTS = Path("reports")
CLEANING = REPORTS / "cleaning.json"
DROPPED = REPORTS / "dropped.json"
CONTAMINATION = REPORTS / "contamination.json"  # clean: training pairs too similar to an evaluation sentence
CLEAN_ACCEPTED = REPORTS / "accepted-clean.json"  # limits that a person let pass; no stage depends on it
COVERAGE = REPORTS / "tokenizer.json"
PROFILE = REPORTS / "profile.json"  # tokenize: the corpus in figures, compared with the champion's
TOKENIZE_ACCEPTED = REPORTS / "accepted-tokenize.json"
CURVE = REPORTS / "curve.csv"
RUN = REPORTS / "run.json"  # the MLflow run of the model; no stage depends on it
TRAIN_ACCEPTED = REPORTS / "accepted-train.json"
METRICS = REPORTS / "metrics.json"
SCORES = REPORTS / "scores.json"  # evaluate: a few numbers of metrics.json, for `dvc metrics` and `dvc exp`
SEGMENTS = REPORTS / "segments.jsonl"
LENGTHS = REPORTS / "bleu_by_length.csv"
CONFIDENCE = REPORTS / "confidence.json"  # evaluate: a calibration of scores, and its use
SLICES = REPORTS / "slices.csv"
PICTURES = REPORTS / "pictures"
SAMPLES = REPORTS / "samples.json"  # evaluate: a short, the longest and the most reordered sentence
REGISTRATION = REPORTS / "registration.json"
SUMMARY = REPORTS / "summary.json"
DRIFT = REPORTS / "drift.json"  # of the flow: the corpus compared with the champion's
COSTS = REPORTS / "costs.json"  # of the flow: CPU and GPU seconds, bytes and money by stage
# Of the gate, which is not a stage: evidence, verdict, report and model card.
EVIDENCE = REPORTS / "evidence.json"
VERDICT = REPORTS / "verdict.json"
REPORT = REPORTS / "report.html"
CARD = REPORTS / "card.md"

CORRECTIONS = Path("corrections.db")  # of users, reviewed by people; ignored by DVC and git

CHECKPOINTS = Path(".checkpoints")  # of unfinished trainings and scorings; ignored by DVC and git
SHARDS = CHECKPOINTS / "shards"  # finished shards of unfinished stages
