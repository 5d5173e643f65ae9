"""The arms of the comparison differ in their filters alone, and their corpora are counted by content."""

import json

import pytest

from benchmarks import corpus, noise_effect
from benchmarks.noise_effect import ARMS, CLEAN, FILTERED, NOISY, SCORED, Result
from seq2seq.common import params, paths
from seq2seq.data.corpus import Pair, write_split

GOOD = [Pair("Ein Hund schläft.", "A dog sleeps."), Pair("Er geht.", "He goes."), Pair("Ja.", "Yes.")]


@pytest.mark.parametrize("arm", ARMS)
@pytest.mark.parametrize("recipe", corpus.RECIPES)
def test_an_arm_has_the_filters_of_local_or_none(tmp_path, arm, recipe):
    folder = noise_effect.project(tmp_path / arm, recipe, noise_effect.settings(arm))
    found = params.load(folder / paths.PARAMS).clean
    assert (found.max_dropped, found.min_kept, found.contamination) == (1.0, 0.0, "drop")
    local = params.load(corpus.ROOT / "recipes/local.yaml").clean
    if arm in (FILTERED, SCORED):
        assert found.same_numbers == local.same_numbers
        assert found.other_language == local.other_language
    else:
        assert (found.drop_identical, found.other_language, found.min_letters) == (False, None, 0.0)
        assert (found.source_script, found.markup, found.max_repetition) == (None, "keep", None)


def test_noise_and_lost_pairs_are_counted_by_content(tmp_path):
    noise_effect.write_splits(tmp_path / "made" / CLEAN, {"train": GOOD})
    folder = tmp_path / NOISY
    write_split(folder / paths.CORPUS, "train", [GOOD[0], Pair("Er geht.", "A dog sleeps."), GOOD[2]])
    (folder / paths.REPORTS).mkdir()
    (folder / paths.METRICS).write_text(json.dumps({"test": {"bleu": 31.25, "chrf": 50.0}}))
    (folder / paths.CURVE).write_text("h\n100,0,3.0,2.5,1,1\n200,1,2.0,2.1,1,1\n300,1,2.0,2.2,1,1\n")
    found = noise_effect.measured(folder, tmp_path / "made")
    assert found == Result(pairs=3, noise=1, lost=1, bleu=31.25, chrf=50.0, updates=200)
    assert noise_effect.table({NOISY: found})[-1] == "| noisy | 3 | 1 (33.3%) | 1 | 31.2 | 50.0 |"
