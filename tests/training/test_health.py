"""Limits of a training in progress: it stops early, with the figure, and resumes where it is accepted."""

import math

import numpy as np
import pytest
import torch

from seq2seq.common.errors import QualityError, UserError
from seq2seq.data.tokens import TokenSplit, TokenWriter
from seq2seq.training import health
from seq2seq.training.checkpoints import Checkpoints
from seq2seq.training.trainer import Trainer
from tests.support.trainer import SETTINGS, SIZE, Recorder, outcome, trainer


def split(folder, name, targets):
    with TokenWriter(folder, name) as writer:
        writer.append("source", targets)
        writer.append("target", targets)
    return TokenSplit(folder, name)


def test_the_loss_of_frequencies_is_their_cross_entropy(tmp_path):
    known = split(tmp_path, "train", [[4, 4, 5]] * 1000)
    found = health.frequency_loss(known, split(tmp_path, "validation", [[4, 4, 5]]), 6)
    # Of four tokens with the end of the sentence: two of one half, two of one quarter.
    assert found == pytest.approx(1.5 * math.log(2), abs=0.01)
    unseen = split(tmp_path, "other", [[3]])
    assert health.frequency_loss(known, unseen, 6) > math.log(1000) / 2
    even = split(tmp_path, "even", [[piece] for piece in range(6)])
    assert health.frequency_loss(even, even, 6) == pytest.approx(
        -(6 * math.log(2 / 19) + 6 * math.log(7 / 19)) / 12
    )


def noise(folder):
    """Targets that have nothing to do with their sources: no model is better than frequencies."""
    random = np.random.default_rng(1)
    for name, count in (("train", 300), ("validation", 60)):
        with TokenWriter(folder, name) as writer:
            for side in ("source", "target"):
                writer.append(side, [random.integers(4, SIZE, 6).tolist() for _ in range(count)])


def test_a_model_that_learns_nothing_stops_after_a_few_validations_and_again(tmp_path, capsys):
    noise(tmp_path / "tokens")
    # 60 updates over 300 pairs learn the lengths, which frequencies do not contain: far fewer do not.
    changes = {"updates": 400, "validate_every": 2, "learns_within": 2, "learning_rate": 1e-5}
    message = (
        r"perplexity after 2 validations is \d+\.\d+, train\.learns_within allows less than \d+\.\d+, that"
    )
    first = trainer(tmp_path / "tokens", tmp_path / "store", **changes)
    with pytest.raises(QualityError, match=message) as error:
        first.fit(Recorder())
    assert error.value.figure.key == "train.learns_within"
    assert first.state.update == 4
    again = trainer(tmp_path / "tokens", tmp_path / "store", **changes)
    with pytest.raises(QualityError, match=message):
        again.fit(Recorder())
    assert again.state.update == 4  # no further update

    accepted: list[QualityError] = []
    torch.manual_seed(SETTINGS.seed)
    settings = SETTINGS.model_copy(update=changes | {"updates": 8})
    store = Checkpoints("x" * 40, tmp_path / "store")
    third = Trainer(settings, SIZE, torch.device("cpu"), store, tmp_path / "tokens", exceeded=accepted.append)
    third.fit(Recorder())
    assert third.state.update == 8
    assert len(accepted) == 1
    assert "resumes from update 4" in capsys.readouterr().out


@pytest.mark.slow
def test_a_model_that_learns_is_not_stopped_and_the_check_changes_no_bit(tokens, tmp_path, uninterrupted):
    trained = trainer(tokens, tmp_path, learns_within=1)
    trained.fit(Recorder())
    assert outcome(trained) == uninterrupted


def test_a_speed_that_collapses_stops_where_it_is_asked_for(tokens, tmp_path, monkeypatch):
    checks = trainer(tokens, tmp_path)._health
    assert [checks.speed(rate) for rate in (1000.0, 1.0)] == [None, None]  # no limit is set
    monkeypatch.setenv(health.MIN_SPEED, "0.2")
    checks = trainer(tokens, tmp_path)._health
    assert [checks.speed(rate) for rate in (500.0, 1000.0, 200.0)] == [None, None, None]
    failure = checks.speed(199.0)
    assert failure is not None
    assert failure.figure[1:4] == ("199 target tokens/s", "20% of its own 1,000", health.MIN_SPEED)
    monkeypatch.setenv(health.MIN_SPEED, "20%")
    with pytest.raises(UserError, match=r"SEQ2SEQ_MIN_SPEED=20%: must be a share from 0 to 1"):
        trainer(tokens, tmp_path)


def test_a_collapse_is_saved_before_it_stops(tokens, tmp_path, monkeypatch, capsys):
    rates = iter([None, health.OTHER_RANK])
    stopped = trainer(tokens, tmp_path, validate_every=4)
    monkeypatch.setattr(stopped._health, "speed", lambda rate: next(rates))
    with pytest.raises(QualityError, match="SEQ2SEQ_MIN_SPEED"):
        stopped.fit(Recorder())
    assert stopped.state.update == 8
    trainer(tokens, tmp_path, updates=9).fit(Recorder())
    assert "resumes from update 8" in capsys.readouterr().out
