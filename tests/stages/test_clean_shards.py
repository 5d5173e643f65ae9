"""clean by shards: any size of shards, any number of processes and a stopped run give the same bytes."""

import json
import tempfile
from contextlib import chdir

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seq2seq.common import paths
from seq2seq.common.errors import UserError
from seq2seq.data import clean_limits, cleaning, contamination_log
from seq2seq.data.cleaning import cut
from seq2seq.data.contamination import Index
from seq2seq.data.corpus import Pair
from seq2seq.data.filters import Filters
from tests.support import simple_clean
from tests.support.cleaned import LIMITLESS, PARAMS, corpora, mixed, outputs, run


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def small_shards(monkeypatch):
    """Shards of seven pairs, cleaned in this process."""
    monkeypatch.setattr(cleaning, "cut", lambda sources: cut(sources, 7))
    monkeypatch.setenv("SEQ2SEQ_WORKERS", "1")


def test_the_size_of_shards_changes_no_byte(root, monkeypatch):
    monkeypatch.setenv("SEQ2SEQ_WORKERS", "1")
    run(mixed())
    whole = outputs()
    assert not paths.CHECKPOINTS.exists()
    for rows in (7, 50):
        monkeypatch.setattr(cleaning, "cut", lambda sources, rows=rows: cut(sources, rows))
        run(mixed())
        assert outputs() == whole


@pytest.mark.slow
def test_finished_shards_of_a_stopped_run_are_used_again(root, monkeypatch, small_shards, capsys):
    clean_shard = cleaning.Cleaner.__call__
    done: list[int] = []

    def stopped(self, shard):
        if len(done) == 5:
            raise KeyboardInterrupt
        done.append(shard.number)
        return clean_shard(self, shard)

    monkeypatch.setattr(cleaning.Cleaner, "__call__", stopped)
    with pytest.raises(KeyboardInterrupt):
        run(mixed())
    [work] = (paths.SHARDS / "clean").iterdir()
    assert sorted(path.name for path in work.iterdir()) == [f"{number:06}" for number in range(5)]
    (work / "000007.half").mkdir()  # of a process that was killed while it wrote

    def rest(self, shard):
        done.append(shard.number)
        return clean_shard(self, shard)

    monkeypatch.setattr(cleaning.Cleaner, "__call__", rest)
    run(mixed())
    assert done == sorted(set(done))
    assert "continues a stopped run: 35 of" in capsys.readouterr().out
    assert not paths.CHECKPOINTS.exists()
    continued = outputs()
    run(mixed())
    assert outputs() == continued


@pytest.mark.slow
def test_shards_of_other_settings_are_neither_used_nor_kept(root, monkeypatch, small_shards):
    with pytest.raises(UserError):
        run(mixed(), contamination="fail")
    [before] = (paths.SHARDS / "clean").iterdir()
    with pytest.raises(UserError, match=r"clean\.max_dropped"):
        run(mixed(), max_dropped=0.0)
    [after] = (paths.SHARDS / "clean").iterdir()
    assert before != after
    run(mixed(), max_dropped=1.0)  # a limit changes no shard
    assert not paths.SHARDS.exists()


@pytest.mark.slow
@settings(max_examples=12)
@given(corpora, corpora, st.integers(1, 5), st.booleans(), st.sampled_from(["drop", "report"]))
def test_shards_give_the_result_of_one_simple_loop(train, held_out, rows, fold, action):
    changes = {"fold_duplicates": fold, "contamination": action, "max_length_ratio": 4.0}
    train = [*train, *train[::-2], Pair("Ein Satz, der bleibt.", "A sentence that stays.")]
    with (
        tempfile.TemporaryDirectory() as folder,
        chdir(folder),
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setattr(cleaning, "cut", lambda sources: cut(sources, rows))
        patch.setenv("SEQ2SEQ_WORKERS", "1")
        found = run(train, held_out, held_out[:1], **changes)
        report, dropped = (
            json.loads(paths.CLEANING.read_text())["train"],
            json.loads(paths.DROPPED.read_text()),
        )
        contamination = json.loads(paths.CONTAMINATION.read_text())

    chosen = Filters(PARAMS.clean.model_copy(update=LIMITLESS | changes))
    sets = {split: found[split] for split in ("validation", "test")}
    log = contamination_log.ContaminationLog(sets, PARAMS.clean.contamination_share)
    index = Index(sets, PARAMS.clean.contamination_share)
    kept, hits, sample, changed = simple_clean.clean(train, chosen, log, index)
    assert found["train"] == kept
    assert {name: count for name, count in report["dropped"].items() if count} == hits
    assert [report[name] for name in ("rewritten", "alignments_lost")] == [
        changed[name] for name in ("rewritten", "alignments_lost")
    ]
    assert [row for row in dropped if row["split"] == "train"] == sorted(
        sample, key=lambda row: clean_limits.REASONS.index(row["reason"])
    )
    assert contamination == json.loads(json.dumps(log.report(action)))
