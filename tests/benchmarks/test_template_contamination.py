"""The benchmark of templates prints a line for each, and its pairs are as similar as it states."""

from benchmarks import template_contamination
from benchmarks.template_contamination import TEMPLATES, main, measure


def test_the_table_has_each_template(capsys, monkeypatch):
    monkeypatch.setattr(template_contamination, "WARM_UP", 20)
    assert main(["--pairs", "30", "--sentences", "20"]) == 0
    assert [line.split(" | ")[0] for line in capsys.readouterr().out.splitlines()[2:]] == [
        f"| {name}" for name in TEMPLATES
    ]


def test_pairs_of_a_template_are_contaminated_unless_half_differs(monkeypatch):
    monkeypatch.setattr(template_contamination, "WARM_UP", 100)
    shares = {name: measure(name, 100, 200)[2] for name in TEMPLATES}
    assert shares.pop("half differs") == 0
    assert 0 < shares.pop("words repeat") < 1
    assert set(shares.values()) == {1.0}
