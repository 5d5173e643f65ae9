"""Where every stage's files lie, relative to the project's root.

Why: dvc.yaml declares these paths and the stages open them; a test holds the two together.
"""

from pathlib import Path

PARAMS = Path("params.yaml")
RECIPES = Path("recipes")

SPLITS = ("train", "validation", "test")  # that every corpus has

RAW = Path("data/raw")  # ingest: {train,validation,test}.parquet, and one for each further evaluation set
PROVENANCE = Path("data/provenance.json")
CORPUS = Path("data/corpus")  # clean: the same splits, fit to train on
VOCABULARY = Path("data/vocabulary")  # tokenize: SentencePiece model
TOKENS = Path("data/tokens")  # tokenize: the same splits as ids
MODEL = Path("model")  # train: weights, config, vocabulary
REPORTS = Path("reports")
CLEANING = REPORTS / "cleaning.json"
DROPPED = REPORTS / "dropped.json"
CONTAMINATION = REPORTS / "contamination.json"  # clean: training pairs too like an evaluation sentence
COVERAGE = REPORTS / "tokenizer.json"
CURVE = REPORTS / "curve.csv"
RUN = REPORTS / "run.json"  # which MLflow run made the model: no stage depends on it
METRICS = REPORTS / "metrics.json"
SEGMENTS = REPORTS / "segments.jsonl"
LENGTHS = REPORTS / "bleu_by_length.csv"
SLICES = REPORTS / "slices.csv"
PICTURES = REPORTS / "pictures"
SAMPLES = REPORTS / "samples.json"  # evaluate: a short, the longest and the most reordered sentence
REGISTRATION = REPORTS / "registration.json"
SUMMARY = REPORTS / "summary.json"
# Of the gate, which is no stage: what it found out, what it decided, and the page and card about it.
EVIDENCE = REPORTS / "evidence.json"
VERDICT = REPORTS / "verdict.json"
REPORT = REPORTS / "report.html"
CARD = REPORTS / "card.md"

CHECKPOINTS = Path(".checkpoints")  # of unfinished trainings; DVC and git know nothing of it
