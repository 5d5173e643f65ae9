"""Pins of files on the web: the same bytes or an error, archives, catalogues and the mirror."""

import hashlib
import io
import json
import sys
import tarfile
import types
import zipfile
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from seq2seq.__main__ import main
from seq2seq.common.errors import TransientError, UserError
from seq2seq.data import download, pins, urls
from seq2seq.data.corpus import read_split
from tests.support.projects import ROOT
from tests.support.sources import ingested, with_source
from tests.support.web_stub import Web

PIN = Path("corpora/web.yaml")
TSV = "".join(f"Satz {i} steht hier\tSentence {i} stands here\n" for i in range(300)).encode()
GERMAN, ENGLISH = ("".join(f"{text} {i}\n" for i in range(300)).encode() for text in ("Satz", "Sentence"))


def zipped(files: dict[str, bytes]) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return data.getvalue()


def tarred(files: dict[str, bytes]) -> bytes:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return data.getvalue()


@pytest.fixture(autouse=True)
def web(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("CORPUS_MIRROR", "CORPUS_MIRROR_WHEN", "MTDATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(download, "WAITS", (0.0, 0.0))
    PIN.parent.mkdir()
    server = Web({"/a/train.tsv": TSV, "/a/test.tsv": TSV[:200]})
    yield server
    server.close()


def write(**keys):
    PIN.write_text("# a pin\n" + json.dumps(keys), encoding="utf-8")


def run(**keys):
    return ingested(with_source(ROOT / "recipes/local.yaml", path=str(PIN), **keys))


@pytest.mark.slow
def test_a_file_is_downloaded_and_pinned_with_size_and_hash(web, capsys):
    write(url=f"{web.url}/a/train.tsv", licence="CC0-1.0")
    splits, facts = run(test_size=5, validation_size=5)
    assert len(splits["train"]) > 250
    source = facts["sources"]["corpus"]
    assert (source["kind"], source["id"], source["licence"]) == ("url", f"{web.url}/a/train.tsv", "CC0-1.0")
    assert "not pinned yet; to keep these bytes: seq2seq pin corpora/web.yaml" in capsys.readouterr().out
    changes = pins.pin(PIN)
    digest = hashlib.sha256(TSV).hexdigest()
    assert changes == [("files", {}, {"train.tsv": digest}), ("bytes", {}, {"train.tsv": len(TSV)})]
    assert PIN.read_text().startswith("# a pin")
    web.asked.clear()
    run(test_size=5, validation_size=5)
    assert web.asked == []  # what is there with the pinned hash is not fetched again
    assert "1 files as pinned" in capsys.readouterr().out
    web.files["/a/train.tsv"] = TSV + b"x\ty\n"
    assert pins.pin(PIN) != []


@pytest.mark.slow
def test_other_bytes_than_pinned_are_refused(web):
    write(url=f"{web.url}/a/train.tsv")
    pins.pin(PIN)
    for path in Path(".cache").rglob("train.tsv"):
        path.unlink()
    web.files["/a/train.tsv"] = TSV.replace(b"Satz 7 ", b"Satz 8 ")
    with pytest.raises(UserError, match=r"(?s)train.tsv has sha256 .* pins .*renew the pin: seq2seq pin"):
        pins.fetch(PIN)
    web.files["/a/train.tsv"] = TSV[:-1]
    with pytest.raises(UserError, match=r"has [\d,]+ bytes, pinned are [\d,]+; if the change is meant"):
        pins.fetch(PIN)


@pytest.mark.slow
def test_a_url_for_each_split(web):
    write(url={"train": f"{web.url}/a/train.tsv", "test": f"{web.url}/a/test.tsv"})
    splits, facts = run(validation_size=5)
    assert len(splits["test"]) < 10
    assert facts["sources"]["corpus"]["made_splits"] == ["validation"]


@pytest.mark.slow
def test_a_broken_download_is_continued_where_the_pin_has_a_hash(web):
    write(url=f"{web.url}/a/train.tsv")
    pins.pin(PIN)
    [place] = Path(".cache/downloads").rglob("train.tsv")
    for has_ranges, second in ((True, f"bytes={len(TSV) // 2}-"), (False, f"bytes={len(TSV) // 2}-")):
        place.unlink()
        web.asked.clear()
        web.broken, web.has_ranges = 1, has_ranges
        pins.fetch(PIN)
        assert [wanted for _, wanted in web.asked] == ["", second]
        assert place.read_bytes() == TSV


@pytest.mark.slow
def test_refusals_and_silence_differ(web, capsys):
    write(url=f"{web.url}/a/nothing.tsv")
    with pytest.raises(UserError, match=r"corpora/web.yaml: http.*/a/nothing.tsv answers 404: correct `url`"):
        pins.fetch(PIN)
    write(url=f"{web.url}/a/train.tsv")
    web.failing = 2
    pins.fetch(PIN)
    assert capsys.readouterr().out.count("status 503; trying again") == 2
    web.failing = 9
    with pytest.raises(TransientError, match="tried 3 times"):
        pins.fetch(PIN)
    web.close()
    with pytest.raises(TransientError, match="tried 3 times"):
        pins.fetch(PIN)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "pack", "members"),
    [
        ("corpus.zip", zipped, []),
        ("corpus.zip", zipped, ["deep/c.de-en.de", "deep/c.de-en.en"]),
        ("corpus.tgz", tarred, []),
        ("corpus.tgz", tarred, ["deep/c.de-en.en", "deep/c.de-en.de"]),
    ],
)
def test_archives_are_unpacked(web, name, pack, members):
    files = {"README": b"about", "deep/c.de-en.de": GERMAN, "deep/c.de-en.en": ENGLISH, "LICENSE": b"x"}
    web.files[f"/{name}"] = pack(files)
    write(url=f"{web.url}/{name}", members=members)
    splits, _ = run(test_size=5, validation_size=5, source_language="de", target_language="en")
    assert splits["train"][0].source.startswith("Satz")
    assert splits["train"][0].target.startswith("Sentence")


@pytest.mark.parametrize("pack", [zipped, tarred])
@pytest.mark.parametrize("name", ["../../../../evil.tsv", "/etc/evil.tsv"])
def test_a_member_that_leads_out_of_the_folder_is_refused(web, pack, name, tmp_path):
    web.files["/evil.zip"] = pack({name: TSV})
    write(url=f"{web.url}/evil.zip")
    with pytest.raises(UserError, match=r"the archive has the member .*evil\.tsv"):
        pins.fetch(PIN)
    assert not list(tmp_path.rglob("evil.tsv"))


@pytest.mark.slow
def test_members_of_one_name_in_two_folders_are_both_read(web):
    web.files["/c.zip"] = zipped({"train/data.tsv": TSV, "test/data.tsv": TSV[:200]})
    write(url=f"{web.url}/c.zip")
    splits, _ = run(validation_size=5)
    assert (len(splits["train"]) > 250, len(splits["test"]) < 10) == (True, True)


@pytest.mark.parametrize("pack", [zipped, tarred])
def test_a_damaged_archive_is_refused(web, pack):
    data = bytearray(pack({"a.tsv": TSV * 20}))
    data[len(data) // 2] ^= 255
    web.files["/c.zip"] = bytes(data)
    write(url=f"{web.url}/c.zip")
    with pytest.raises(UserError, match=r"c\.zip cannot be unpacked"):
        pins.fetch(PIN)


@pytest.mark.slow
def test_a_wrong_file_of_a_mirror_stays_and_is_named(web, monkeypatch):
    write(url=f"{web.url}/c.zip")
    web.files["/c.zip"] = zipped({"a.tsv": TSV})
    pins.pin(PIN)
    pins.fill_mirror(PIN, Path("copies"))
    [place] = Path("copies").rglob("c.zip")
    place.write_bytes(bytes([*place.read_bytes()[:-1], 1]))
    monkeypatch.setenv("CORPUS_MIRROR", "copies")
    with pytest.raises(UserError, match=r"(?s)copies: c.zip has sha256 .*renew the pin"):
        pins.fetch(PIN)
    assert place.is_file()
    web.files["/c.zip"] = zipped({"a.tsv": TSV})
    pins.fill_mirror(PIN, Path("copies"))
    place.parent.chmod(0o555)  # a mirror may be read-only
    assert pins.fetch(PIN)[0].mirror
    assert [path.name for path in place.parent.iterdir()] == ["c.zip"]
    place.parent.chmod(0o755)


def test_urls_that_differ_in_their_query_are_two_files_of_a_mirror(web):
    for name in ("a", "b"):
        web.files[f"/get?f={name}.tsv"] = TSV + name.encode() * 3
        write(url=f"{web.url}/get?f={name}.tsv")
        pins.fill_mirror(PIN, Path("copies"))
    assert len([path for path in Path("copies").rglob("*") if path.is_file()]) == 2


def test_a_missing_member_and_a_broken_archive_are_named(web):
    web.files["/c.zip"] = zipped({"a.tsv": TSV})
    write(url=f"{web.url}/c.zip", members=["b.tsv"])
    with pytest.raises(UserError, match=r"c.zip has no member b.tsv; there are: a.tsv"):
        pins.fetch(PIN)
    web.files["/c.zip"] = b"PK\x03\x04 no archive"
    write(url=f"{web.url}/c.zip")
    with pytest.raises(UserError, match=r"c.zip cannot be unpacked"):
        pins.fetch(PIN)
    web.files["/c.zip"] = zipped({"logo.svg": b"x"})
    with pytest.raises(UserError, match=r"c.zip has no corpus file; its members are: logo.svg"):
        pins.fetch(PIN)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"url": "ftp://host/x.tsv"}, "is no pin of a remote corpus:"),
        ({"url": "http://host/../x.tsv"}, "leads upwards"),
        ({"url": {"train": "http://h/x.tsv", "test": "http://i/x.tsv"}}, "two urls have the same file name"),
        ({"url": []}, "is no pin of a remote corpus:"),
        (
            {"mtdata": "A-b-1-de-en"},
            "names no url: `seq2seq pin corpora/web.yaml` writes that of A-b-1-de-en",
        ),
        ({"url": "http://h/x.tsv", "sha": "x"}, "sha: 'x': Extra inputs"),
    ],
)
def test_faulty_pins_are_named(keys, message):
    write(**keys)
    with pytest.raises(UserError, match=message):
        pins.fetch(PIN)


@pytest.mark.slow
def test_a_name_of_the_catalogue_becomes_a_url(web, monkeypatch):
    """The catalogue is a stand-in with the interface of mtdata 0.5."""
    web.files["/opus/"] = zipped({"x/c.de-en.de": GERMAN, "x/c.de-en.en": ENGLISH, "x/c.xml": b"<x/>"})
    entry = types.SimpleNamespace(url=f"{web.url}/opus/", in_paths=["*.de", "*.en"])
    catalogue = types.SimpleNamespace(entries={("OPUS", "c"): entry})
    identifier = types.SimpleNamespace(parse=lambda text: tuple(text.split("-")[:2]))
    modules = {
        "mtdata": types.ModuleType("mtdata"),
        "mtdata.entry": types.SimpleNamespace(DatasetId=identifier),
        "mtdata.index": types.SimpleNamespace(Index=types.SimpleNamespace(get_instance=lambda: catalogue)),
    }
    for name, module in modules.items():
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setenv("MTDATA", str(Path("catalogue").resolve()))
    write(mtdata="OPUS-nothing-v1-deu-eng")
    with pytest.raises(UserError, match="mtdata has no OPUS-nothing-v1-deu-eng"):
        pins.pin(PIN)
    write(mtdata="OPUS-c-v1-deu-eng")
    pins.pin(PIN)
    document = YAML(typ="safe").load(PIN)
    assert document["url"] == {"train": f"{web.url}/opus/"}
    assert document["members"] == entry.in_paths
    for name in modules:  # a run needs no catalogue
        monkeypatch.setitem(sys.modules, name, None)
    splits, facts = run(test_size=5, validation_size=5)
    assert facts["sources"]["corpus"]["id"] == "OPUS-c-v1-deu-eng"
    assert len(splits["train"]) > 250
    with pytest.raises(UserError, match=r"`mtdata` needs .*\[mtdata\]"):
        pins.pin(PIN)


@pytest.mark.slow
def test_a_mirror_is_filled_and_read_instead_or_as_a_fallback(web, monkeypatch, capsys):
    write(url=f"{web.url}/a/train.tsv")
    settings = with_source(ROOT / "recipes/local.yaml", path=str(PIN))
    YAML().dump(settings.model_dump(), Path("params.yaml"))
    assert main(["mirror", "copies"]) == 0
    host = web.url.removeprefix("http://")
    assert f"copies/url/{host}/a/train.tsv  {len(TSV):,} bytes" in capsys.readouterr().out

    monkeypatch.setenv("CORPUS_MIRROR", "copies")
    web.asked.clear()
    assert pins.fetch(PIN)[0].mirror
    assert web.asked == []
    monkeypatch.setenv("CORPUS_MIRROR_WHEN", "down")
    assert not pins.fetch(PIN)[0].mirror
    web.failing = 9
    copy = pins.fetch(PIN)[0]
    assert copy.mirror
    assert "from the mirror copies" in copy.summary
    assert "CORPUS_MIRROR_WHEN=down: the mirror is read instead" in capsys.readouterr().out
    monkeypatch.setenv("CORPUS_MIRROR", "elsewhere")
    with pytest.raises(
        UserError, match=r"CORPUS_MIRROR=elsewhere lacks elsewhere/url/.*`seq2seq mirror elsewhere`"
    ):
        pins.fetch(PIN)
    monkeypatch.setenv("CORPUS_MIRROR_WHEN", "never")
    with pytest.raises(UserError, match="CORPUS_MIRROR_WHEN=never: write always or down"):
        pins.fetch(PIN)


@pytest.mark.slow
def test_an_evaluation_set_on_the_web(web):
    write(url=f"{web.url}/a/train.tsv")
    Path("mine.tsv").write_bytes(TSV)
    more = {"news": {"path": str(PIN), "licence": "unknown", "role": "evaluation"}}
    checked = with_source(
        ROOT / "recipes/local.yaml", path="mine.tsv", test_size=5, validation_size=5, more=more
    )
    splits, _ = ingested(checked)
    assert len(splits["news"]) == 300
    assert urls.load(PIN).url == {"train": f"{web.url}/a/train.tsv"}
    assert len(list(read_split(Path("data/mixed"), "news"))) == 300
