"""The benchmarks count correctly, and our contestants do the work that is timed; no time is asserted."""

from __future__ import annotations

import math
import re
import subprocess
import sys
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from benchmarks import __main__ as bench
from benchmarks import contest, corpus, decoding, setting, stages, table, training, turns, tutorial
from benchmarks.__main__ import header
from benchmarks.contest import ContestantError, Program, Result, Step
from seq2seq.data.tokens import TokenSplit, TokenWriter
from seq2seq.data.vocabulary import EOS
from seq2seq.nn.batches import collate
from seq2seq.nn.model import Config, Seq2Seq

TINY = Config(
    vocabulary_size=40,
    embedding_size=8,
    hidden_size=16,
    attention_size=8,
    layers=1,
    attention="additive",
    dropout=0.1,
    tie_embeddings=False,
)
ECHO = """
import sys
from benchmarks.turns import Turns
turns = Turns()
turns.ready(7)
while asked := turns.wait():
    print("a library's chatter")
    open(sys.argv[1], "a").write(sys.argv[2] + asked[0])
    turns.answer(5, [0.1, 0.2])
"""


def step(units: int, seconds: float, foreign: float | None = 0.0, each: tuple[float, ...] = ()) -> Step:
    return Step(units, seconds, foreign, list(each), 2**30)


def result(name: str, *steps: Step) -> Result:
    return Result(name, 1_500_000, list(steps))


def test_a_rate_is_the_median_of_quiet_steps():
    measured = result("x", step(100, 1.0), step(300, 1.0), step(1, 1.0, 0.5), step(200, 1.0))
    assert measured.rate == 200
    assert measured.seconds == 1.0
    assert len(measured.quiet) == 3
    assert result("y", step(1, 1.0, contest.QUIET)).rate is None


def test_if_the_use_by_other_processes_is_unknown_every_step_counts():
    assert result("x", step(10, 2.0, None)).rate == 5
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(turns, "STAT", Path("/nonexistent/stat"))
        assert stages.timed(lambda: None, 1).foreign is None


def test_percentiles_are_of_the_parts_of_quiet_steps():
    measured = result("x", step(3, 1.0, 0.0, (0.3, 0.1, 0.2)), step(1, 1.0, 0.9, (99.0,)))
    assert [measured.percentile(share) for share in (0.0, 0.5, 0.99)] == [0.1, 0.2, 0.3]
    assert result("x", step(1, 1.0)).percentile(0.5) is None


def test_foreign_use_is_neither_idle_nor_own_time():
    assert turns.foreign_share(busy=3.0, own=2.0, seconds=1.0, processors=2) == 0.5
    assert turns.foreign_share(busy=1.0, own=1.01, seconds=1.0, processors=2) == 0.0


def test_time_of_ended_children_is_own_time():
    before = turns.own_seconds()
    subprocess.run([sys.executable, "-c", "sum(range(3_000_000))"], check=True)
    assert turns.own_seconds() > before
    assert turns.peak_memory() > 2**20


def test_ratios_and_figures():
    assert [table.ratio(3, 2), table.ratio(40, 2), table.ratio(None, 2), table.ratio(3, None)] == [
        "1.50x", "20.0x", "-", "-",
    ]  # fmt: skip
    assert [table.figure(v) for v in (12345.6, 123.4, 12.34, 1.234, None)] == [
        "12,346", "123", "12.3", "1.23", "-",
    ]  # fmt: skip


def test_the_table_has_ratios_and_fits():
    names = [setting.NAIVE, setting.HOISTED, setting.REFERENCE, setting.FAST, setting.FAST_BF16]
    results = [result(name, step(100 * (n + 1), 1.0)) for n, name in enumerate(names)]
    against = {"reference": setting.REFERENCE, "naive": setting.NAIVE, "JoeyNMT": setting.JOEYNMT}
    lines = table.rates("training", "tokens/s", results, against)
    assert "/ JoeyNMT" not in lines[0]  # not a contestant
    assert lines[4].split()[-8:] == ["400", "1/1", "1.33x", "4.00x", "1.0", "GB", "1.5", "M"]
    results.append(result(setting.JOEYNMT, step(200, 1.0, 0.9)))
    lines = table.rates("training", "tokens/s", results, against)
    assert lines[-1].split()[2:] == ["-", "0/1", "-", "-", "-", "1.0", "GB", "1.5", "M"]
    assert max(map(len, lines)) <= 98


def test_the_table_of_stages_names_its_baselines():
    lines = table.stages(
        [
            (result("clean, 10 pairs", step(10, 2.0)), result("copying", step(1, 0.5))),
            (result("nothing to do", step(1, 12.0)), result("importing", step(1, 3.0))),
        ]
    )
    assert lines[1].split()[3:] == ["5.00", "2.00", "1/1", "4.00x", "copying"]
    assert lines[2].split()[3:] == ["12.0", "1/1", "4.00x", "importing"]


def test_latencies_are_in_milliseconds():
    lines = table.latencies("one by one", [result("x", step(2, 0.3, 0.0, (0.1, 0.2)))])
    assert lines[1].split() == ["x", "200", "200", "2"]


def test_the_header_names_the_steps_that_count(monkeypatch, tmp_path):
    monkeypatch.setattr(bench, "STAT", tmp_path / "stat")
    assert header(0.12)[-1].endswith("medians of all steps: this system does not report other processes")
    (tmp_path / "stat").write_text("cpu 1 2 3\n")
    assert header(0.12)[-1].endswith("medians of steps with less than 12% foreign CPU use")
    assert header(9.0)[-1].endswith("medians of all steps")


@pytest.mark.parametrize("kind", ["native", "emulated"])
def test_the_bench_prints_that_bfloat16_is_emulated(monkeypatch, kind):
    monkeypatch.setenv("SEQ2SEQ_BF16", kind)
    assert [line.startswith("bf16 is emulated") for line in bench.products()] == [True] * (kind == "emulated")


@pytest.mark.parametrize("corpus", ["multi30k", "grammar"])
def test_the_bench_prints_that_another_corpus_does_not_compare(monkeypatch, tmp_path, corpus):
    monkeypatch.setattr("benchmarks.corpus.make", lambda recipe: tmp_path / recipe)
    monkeypatch.setattr("benchmarks.corpus.describe", lambda folder: folder.name)
    report = bench.Report()
    bench.prepare_corpus(corpus, report)
    assert any("do not compare" in line for line in report.lines) == (corpus != "multi30k")


def test_contestants_alternate(tmp_path):
    trace = tmp_path / "trace"
    programs = [Program(name, [sys.executable, "-c", ECHO, str(trace), name]) for name in ("a", "b")]
    lines: list[str] = []
    results = contest.contest(programs, {"x": 2, "y": 1}, tmp_path / "logs", lines.append, limit=1e9)
    kept = contest.WARM_UP + 2
    assert trace.read_text() == "axbx" * kept + "ayby" * (kept - 1)
    assert [len(r.steps) for r in results["x"] + results["y"]] == [2, 2, 1, 1]
    assert {(r.parameters, r.steps[0].units) for r in results["x"]} == {(7, 5)}
    assert results["y"][0].percentile(0.99) == 0.2
    assert len(lines) == 2 * contest.WARM_UP + 3
    assert "chatter" in (tmp_path / "logs/a.log").read_text()


def test_a_contestant_that_dies_is_named_with_the_end_of_its_log(tmp_path):
    dies = Program("c", [sys.executable, "-c", "raise SystemExit('no such corpus')"])
    with pytest.raises(ContestantError, match=r"(?s)c has ended.*no such corpus"):
        contest.contest([dies], {"x": 1}, tmp_path, print)


@pytest.mark.slow
@pytest.mark.parametrize("name", training.CONTESTANTS)
def test_a_contestant_learns(name):
    random = np.random.default_rng(1)
    pairs = [random.integers(4, 40, size=length).tolist() for length in random.integers(1, 7, size=12)]
    loop = training.Loop(training.CONTESTANTS[name], TINY, cycle([collate(pairs, pairs[::-1])]))
    losses = []
    for _ in range(8):
        assert loop.step() == sum(len(ids) + 1 for ids in pairs)
        losses.append(loop.loss)
    assert all(map(math.isfinite, losses))
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("model", [tutorial.Naive, tutorial.Hoisted])
def test_padding_does_not_change_a_tutorial(model):
    torch.manual_seed(1)
    made = model(TINY).double().eval()
    short, long = ([5, 6], [7]), ([8, 9, 10, 11], [12, 13, 14])
    alone = [training.tutorial_loss(made, collate([source], [target])) for source, target in (short, long)]
    both = training.tutorial_loss(made, collate(*map(list, zip(short, long, strict=True))))
    assert both.item() == pytest.approx(sum(one.item() for one in alone))


def test_the_hoisted_tutorial_is_the_reference_model():
    sizes = [sum(p.numel() for p in make(TINY).parameters()) for make in (tutorial.Hoisted, Seq2Seq)]
    assert sizes[0] == sizes[1]


def test_batches_have_the_given_number_of_sentences(tmp_path):
    random = np.random.default_rng(1)
    lengths = random.integers(5, 25, size=4000)
    with TokenWriter(tmp_path, "train") as writer:
        for side in ("source", "target"):
            writer.append(side, ([7] * length for length in lengths))
    split = TokenSplit(tmp_path, "train")
    sentences: list[float] = [len(next(training.random_batches(split, setting.SENTENCES)).output_BT)]
    bucketed = training.bucketed(split)
    sentences.append(float(np.mean([len(next(bucketed).output_BT) for _ in range(30)])))
    assert sentences == pytest.approx([setting.SENTENCES] * 2, rel=0.15)


class Words:
    """A vocabulary of numbers."""

    size = TINY.vocabulary_size

    def encode_all(self, texts):
        return [[int(word) for word in text.split()] for text in texts]


def test_searches_find_the_same_forced_hypotheses():
    words: Any = Words()
    texts = ["5 6 7", "8", "9 10 11 12 13"]
    found = {}
    for name in decoding.CONTESTANTS:
        decoder = decoding.Decoder(name, decoding.endless(TINY), words, texts, setting.FORCED)
        assert decoder.batch(3) == 3
        found[name] = [hypothesis.ids for hypothesis in decoder.found]
        assert [len(ids) for ids in found[name]] == [setting.FORCED] * 3
        assert all(EOS not in ids for ids in found[name])
        assert len(decoder.singles(2)) == 2
        assert decoder.batch(2, beam=1) == 2
        assert [len(hypothesis.ids) for hypothesis in decoder.found] == [setting.FORCED] * 2
    assert found[setting.FAST] == found[setting.REFERENCE_SEARCH]


@pytest.mark.slow
def test_the_corpus_is_made_by_the_stages_and_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(corpus, "FOLDER", tmp_path)
    monkeypatch.setattr(corpus, "PAIRS", 300)
    monkeypatch.setattr(setting, "PIECES", 400)
    folder = corpus.make("grammar")
    assert re.match(r"grammar, 2\d\d pairs, 400 pieces, ", corpus.describe(folder))
    made = (folder / "made-of").stat().st_mtime_ns
    assert corpus.make("grammar") == folder
    assert (folder / "made-of").stat().st_mtime_ns == made
