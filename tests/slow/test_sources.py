"""Sources under DVC: a new, grown or renamed one is ingested alone, and the bytes are those of a clone."""

import hashlib
import json
import re
import shutil
from pathlib import Path

import pytest

from tests.support import projects

pytestmark = pytest.mark.timeout(900)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = projects.make(tmp_path_factory.mktemp("sources"), [])
    for name, count in (("news", 400), ("web", 300)):
        rows = [f"{name} Satz {i} steht hier\t{name} sentence {i} stands here\n" for i in range(count)]
        (folder / f"corpora/{name}.tsv").write_text("".join(rows), encoding="utf-8")
    use(folder, "ingest.path=corpora/news.tsv", "ingest.test_size=5", "ingest.validation_size=5")
    use(folder, "clean.contamination=report")  # the sentences are alike
    return folder


def use(project: Path, *values: str) -> None:
    projects.call(project, "-m", "seq2seq", "use", *(part for value in values for part in ("--set", value)))


def clean(project: Path) -> list[str]:
    """Bring `clean` up to date; returns the stages that DVC ran."""
    done = projects.repro(project, "clean")
    return re.findall(r"Running stage '([\w@]+)'", done.stdout)


def results(project: Path) -> dict[str, str]:
    """sha256 of the outputs of mix and clean."""
    files = [path for name in ("mixed", "corpus") for path in (project / "data" / name).iterdir()]
    files += [project / "data/provenance.json", project / "reports/cleaning.json"]
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def in_a_clone(project: Path, folder: Path) -> dict[str, str]:
    """The results of the same files in a project that has run nothing."""
    left_out = shutil.ignore_patterns("data", "model", "reports", "dvc.lock", "cache", "tmp")
    clone = folder / "clone"
    shutil.copytree(project, clone, ignore=left_out, symlinks=True)
    shutil.copytree(project / "seq2seq/data", clone / "seq2seq/data", dirs_exist_ok=True)
    clean(clone)
    return results(clone)


def test_only_what_changes_is_ingested_and_the_bytes_are_those_of_a_clone(project, tmp_path):
    assert clean(project) == ["ingest@news", "mix", "score", "clean"]
    alone = results(project)

    use(project, "ingest.sources.web=corpora/web.tsv")
    assert clean(project) == ["ingest@web", "mix", "score", "clean"]
    both = results(project)
    assert both == in_a_clone(project, tmp_path / "added")

    params = project / "params.yaml"
    text = params.read_text("utf-8")
    news = re.search(r"    news:\n(?:      .*\n)+", text)[0]
    params.write_text(
        text.replace(news, "").replace("  validation_size", f"{news}  validation_size", 1), "utf-8"
    )
    assert params.read_text("utf-8") != text
    assert clean(project) == []  # the order of the sources has no meaning

    with (project / "corpora/web.tsv").open("a", encoding="utf-8") as file:
        file.write("web Satz neu\tweb sentence new\n")
    assert clean(project) == ["ingest@web", "mix", "score", "clean"]

    (project / "data/raw/stray").mkdir()
    (project / "data/raw/stray/train.parquet").write_bytes(b"no Parquet")
    assert clean(project) == ["mix"]  # which finds nothing new
    shutil.rmtree(project / "data/raw/stray")

    use(project, "ingest.sources.web=null", "ingest.sources.crawl=corpora/web.tsv")
    assert set(clean(project)) >= {"ingest@crawl", "mix", "clean"}
    assert results(project) == in_a_clone(project, tmp_path / "renamed")
    assert (project / "data/raw/web").is_dir()  # DVC leaves the folder of a source that was dropped

    use(project, "ingest.sources.crawl=null")
    clean(project)
    assert results(project) == alone == in_a_clone(project, tmp_path / "dropped")
    manifest = json.loads((project / "data/mixed/manifest.json").read_text())
    assert list(manifest["sources"]) == ["news"]
