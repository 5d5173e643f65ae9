"""A registered version scores a corpus with planted misaligned pairs, and clean drops these."""

import json
from pathlib import Path

import numpy as np
import pytest

from seq2seq.common import paths
from seq2seq.data import scores
from seq2seq.data.corpus import Pair, read_split
from tests.support import projects

# The model of recipe grammar for 300 updates, enough to learn which words belong together.
LEARNT = ["ingest.train_size=8000", "ingest.validation_size=100", "ingest.test_size=100", "train.updates=300"]
LEARNT += ["train.validate_every=150", "train.patience=300", "train.learning_rate=0.004", "train.dropout=0.0"]
LEARNT += ["train.warmup_updates=50", "train.label_smoothing=0.0", "train.attention=dot"]
LEARNT += ["train.embedding_size=128", "train.hidden_size=192", "train.layer_norm=true"]
LEARNT += ["train.batch_tokens=1024", "tokenize.vocabulary_size=2400"]
MISALIGNED = 60


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with a version in its registry, alias challenger."""
    project = projects.make(tmp_path_factory.mktemp("scored"), LEARNT)
    projects.repro(project)
    return project


def planted(project: Path) -> list[Pair]:
    """600 pairs of the project's corpus, a tenth with the translation of another, as its new corpus."""
    pairs = list(read_split(project / paths.RAW / "grammar", "train"))[:600]
    shifted = [Pair(pairs[i].source, pairs[i + 300].target) for i in range(MISALIGNED)]
    mixed = pairs[MISALIGNED:] + shifted
    folder = project / "corpora/planted"
    folder.mkdir()
    splits = {"train": mixed, "validation": pairs[:50], "test": pairs[50:60]}
    splits |= {name: list(read_split(project / paths.MIXED, name)) for name in ("validation", "test")}
    for name, some in splits.items():
        text = "".join(f"{pair.source}\t{pair.target}\n" for pair in some)
        (folder / f"{name}.tsv").write_text(text, encoding="utf-8")
    return mixed


@pytest.mark.nightly
def test_misaligned_pairs_have_low_scores_and_are_dropped(trained: Path, tmp_path: Path) -> None:
    project = projects.copy(trained, tmp_path)
    mixed = planted(project)
    values = ["ingest.path=corpora/planted", "ingest.source_column=0", "ingest.target_column=1"]
    values += ["ingest.source_language=de", "ingest.target_language=en", "ingest.train_size=null"]
    values += ["score.model=models:/grammar-tiny@challenger", "score.worst_share=0.1"]
    done = projects.call(
        project, "-m", "seq2seq", "use", *(part for value in values for part in ("--set", value))
    )
    assert "score.model: null -> grammar-tiny" in done.stdout
    assert "score.version: null -> 1" in done.stdout
    projects.repro(project, "clean")
    found = scores.read(project / paths.SCORED)
    assert len(found) == len(mixed)
    assert np.median(found[-MISALIGNED:]) < np.median(found[:-MISALIGNED]) - 1
    kept = {pair[:2] for pair in read_split(project / paths.CORPUS, "train")}
    assert sum(pair[:2] in kept for pair in mixed[-MISALIGNED:]) <= MISALIGNED * 0.2
    report = json.loads((project / paths.CLEANING).read_text())["train"]["dropped"]
    assert 0 < report["score"] <= len(mixed) * 0.1

    # Another threshold scores nothing again; a moved version number does, and is refused.
    before = (project / paths.SCORED / scores.FILE).stat().st_mtime_ns
    projects.call(project, "-m", "seq2seq", "use", "--set", "score.worst_share=0.05")
    projects.repro(project, "clean")
    assert (project / paths.SCORED / scores.FILE).stat().st_mtime_ns == before
    projects.call(project, "-m", "seq2seq", "use", "--set", f"score.digest={'0' * 64}")
    with pytest.raises(AssertionError, match="it is another model"):
        projects.call(project, "-m", "seq2seq", "score")
    projects.call(project, "-m", "seq2seq", "use", "--set", "score.model=null")
    projects.repro(project, "clean")
    assert len(scores.read(project / paths.SCORED)) == 0
