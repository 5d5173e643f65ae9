"""Paths of all stages' files, relative to the project's root.

Why: dvc.yaml declares these paths and the stages open them; a test compares the two.
"""

from pathlib import Path

PARAMS = Path("params.yaml")
RECIPES = Path("recipes")

SPLITS = ("train", "validation", "test")  # of every corpus

RAW = Path("data/raw")  # ingest: {train,validation,test}.parquet, and one per further evaluation set
PROVENANCE = Path("data/provenance.json")
SCORED = Path("data/scores")  # score: a log-probability of each training pair, if a model is named
CORPUS = Path("data/corpus")  # clean: the same splits, cleaned
VOCABULARY = Path("data/vocabulary")  # tokenize: SentencePiece model
TOKENS = Path("data/tokens")  # tokenize: the same splits as ids
MODEL = Path("model")  # train: weights, config, vocabulary
REPORTS = Path("reports")
CLEANING = REPORTS / "cleaning.json"
DROPPED = REPORTS / "dropped.json"
CONTAMINATION = REPORTS / "contamination.json"  # clean: training pairs too similar to an evaluation sentence
COVERAGE = REPORTS / "tokenizer.json"
CURVE = REPORTS / "curve.csv"
RUN = REPORTS / "run.json"  # the MLflow run of the model; no stage depends on it
METRICS = REPORTS / "metrics.json"
SCORES = REPORTS / "scores.json"  # evaluate: a few numbers of metrics.json, for `dvc metrics` and `dvc exp`
SEGMENTS = REPORTS / "segments.jsonl"
LENGTHS = REPORTS / "bleu_by_length.csv"
SLICES = REPORTS / "slices.csv"
PICTURES = REPORTS / "pictures"
SAMPLES = REPORTS / "samples.json"  # evaluate: a short, the longest and the most reordered sentence
REGISTRATION = REPORTS / "registration.json"
SUMMARY = REPORTS / "summary.json"
# Of the gate, which is not a stage: evidence, verdict, report and model card.
EVIDENCE = REPORTS / "evidence.json"
VERDICT = REPORTS / "verdict.json"
REPORT = REPORTS / "report.html"
CARD = REPORTS / "card.md"

CHECKPOINTS = Path(".checkpoints")  # of unfinished trainings and scorings; ignored by DVC and git
