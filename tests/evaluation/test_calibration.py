"""The confidence: fitted on one set, measured on another."""

import numpy as np
import pytest

from seq2seq.evaluation import calibration
from seq2seq.evaluation.calibration import Judged
from seq2seq.inference import confidence
from seq2seq.inference.translation import Translation


def drawn(sentences=4000, slope=4.0, intercept=3.0, seed=1):
    """Log-probabilities, and translations that are good with the probability of a logistic curve."""
    draw = np.random.default_rng(seed)
    logs = -draw.gamma(2.0, 0.5, sentences)
    good = draw.random(sentences) < 1 / (1 + np.exp(-(slope * logs + intercept)))
    return Judged(logs, np.where(good, 90.0, 10.0))


@pytest.mark.slow
def test_the_curve_is_found_again_and_its_confidence_is_the_share_of_good_ones():
    fitted, measured = drawn(), drawn(seed=2)
    found = calibration.record("validation", fitted, "test", measured)
    curve = confidence.of_record(found)
    assert curve.slope == pytest.approx(4.0, rel=0.1)
    assert curve.intercept == pytest.approx(3.0, rel=0.1)
    assert found["measured"]["calibration_error"] < 0.03
    assert curve.confidence(-0.1) > curve.confidence(-1.0) > curve.confidence(-1e9) == pytest.approx(0.0)


def test_the_use_of_an_order():
    logs = np.array([-5.0, -4.0, -3.0, -2.0, -1.0])
    bad = np.array([True, True, False, False, False])
    assert calibration.auc(logs, bad) == 1.0
    assert calibration.auc(-logs, bad) == 0.0
    assert calibration.auc(np.zeros(5), bad) == 0.5
    assert [calibration.caught(logs, bad, share) for share in (0.2, 0.4, 1.0)] == [0.5, 1.0, 1.0]
    assert calibration.caught(logs, bad & False, 0.2) is calibration.auc(logs, bad & False) is None


def test_separate_classes_give_a_finite_curve():
    logs = np.array([-3.0] * 20 + [-0.1] * 50)
    curve = calibration.fit(logs, logs < -1)
    assert 0.9 < curve.confidence(-0.1) < 1
    assert 0 < curve.confidence(-3.0) < 0.1


def test_too_few_bad_ones_give_no_curve_but_figures():
    few = Judged(np.linspace(-1, 0, 100), np.array([10.0] * 3 + [100.0] * 97))
    found = calibration.record("validation", few, "test", few)
    assert found["calibration"] is None
    assert confidence.of_record(found) is None
    assert found["measured"]["bad"] == 3
    assert found["measured"]["caught"]["5"] == 1.0


def test_of_a_good_model_the_worst_are_bad():
    assert calibration.threshold(np.linspace(0, 100, 101)) == calibration.BAD
    assert calibration.threshold(np.linspace(80, 100, 101)) == 81.0
    assert calibration.threshold(np.array([])) == calibration.BAD


def test_empty_texts_are_not_judged():
    found = [
        Translation("a b", -1.0, [], [], None, mean_log_probability=-1.0),
        Translation("", 0.0, [], [], None),
    ]
    judged = calibration.judge(found, ["a b", "x"])
    assert judged.logs.tolist() == [-1.0]
    assert judged.chrf.tolist() == [100.0]
