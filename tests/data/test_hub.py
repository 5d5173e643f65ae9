"""Downloads from a hub on loopback: the right commit and bytes, or an error with a remedy."""

import hashlib
import json
import os
import socket
import time
from pathlib import Path

import pytest

from seq2seq.common import environment
from seq2seq.common.errors import TransientError, UserError
from seq2seq.data import hub
from seq2seq.data.corpus import read_split
from tests.support.hub_stub import COMMIT, Hub
from tests.support.projects import ROOT
from tests.support.sources import ingested, with_source

os.environ.setdefault("USE_TORCH", "0")

PIN = Path("pin.yaml")
FILES = {
    "README.md": b"---\nlicense: cc0-1.0\n---\n",
    "train.jsonl": b'{"de": "ja", "en": "yes"}\n' * 40,
    "dev.jsonl": b'{"de": "nein", "en": "no"}\n',
    "test.jsonl": b'{"de": "vielleicht", "en": "perhaps"}\n',
}
HASHES = {name: hashlib.sha256(data).hexdigest() for name, data in FILES.items() if name != "README.md"}


@pytest.fixture(autouse=True)
def _workspace(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CORPUS_MIRROR", raising=False)
    for name in (*environment.SETTINGS, "HF_HOME", "MPLCONFIGDIR"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    environment.configure_process()
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setattr(hub, "WAITS", ())


@pytest.fixture
def server(monkeypatch):
    server = Hub(dict(FILES))
    monkeypatch.setenv("HF_ENDPOINT", server.url)
    yield server
    server.close()


def fetch(revision="main", files=None, **keys):
    pin = {"hub": "owner/name", "revision": revision, "files": files or {}} | keys
    PIN.write_text(json.dumps(pin), encoding="utf-8")
    return hub.fetch(PIN, hub.load(PIN))


@pytest.mark.slow
def test_unpinned_then_pinned(server, capsys):
    PIN.write_text("# a pin\nhub: owner/name\nconfig: null\nrevision: main # moves\nfiles: {} # none\n")
    settings = with_source(ROOT / "recipes/multi30k.yaml", path=str(PIN))
    ingested(settings)
    output = capsys.readouterr().out
    assert f"owner/name at {COMMIT} (now main) from the hub; not pinned yet" in output
    assert [pair[:2] for pair in read_split(Path("data/mixed"), "validation")] == [("nein", "no")]
    unpinned = json.loads(Path("data/provenance.json").read_text())
    assert unpinned["revision"] == COMMIT
    assert unpinned["licence"] == "cc0-1.0"
    assert {file["name"]: file["sha256"] for file in unpinned["sources"]["corpus"]["files"]} == HASHES

    changes: list[tuple[str, object, object]] = [
        (f"files.{name}", None, value) for name, value in sorted(HASHES.items())
    ]
    changes += [(f"bytes.{name}", None, len(FILES[name])) for name in sorted(HASHES)]
    assert hub.pin(PIN) == [("revision", "main", COMMIT), *changes]
    assert hub.load(PIN).files == HASHES
    assert PIN.read_text().startswith(f"# a pin\nhub: owner/name\nconfig: null\nrevision: {COMMIT} # moves\n")

    capsys.readouterr()
    ingested(settings)
    output = capsys.readouterr().out
    assert f"ingest: owner/name at {COMMIT} from the hub, 3 files as pinned\n" in output
    assert json.loads(Path("data/provenance.json").read_text()) == unpinned


@pytest.mark.slow
@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"revision": "nope"}, "pin.yaml: owner/name has no revision 'nope'; correct `revision`"),
        ({"hub": "owner/other"}, "pin.yaml: the hub has no dataset owner/other (or it is private"),
        ({"config": "de-fr"}, "pin.yaml: BuilderConfig 'de-fr' not found. Available: ['default']"),
    ],
)
def test_missing_datasets_and_files_are_named(server, keys, message):
    with pytest.raises(UserError) as caught:
        fetch(**keys)
    assert message in str(caught.value)


@pytest.mark.slow
def test_wrong_hash_is_no_longer_in_the_cache(server):
    server.mangle.add("train.jsonl")  # same size and name, another byte
    with pytest.raises(UserError, match=f"owner/name at {COMMIT}: train.jsonl has sha256") as caught:
        fetch(COMMIT, HASHES)
    assert f"but pin.yaml pins {HASHES['train.jsonl']}" in str(caught.value)
    assert "renew the pin: seq2seq pin pin.yaml" in str(caught.value)
    server.mangle.clear()
    assert fetch(COMMIT, HASHES).files["train"][0].path.read_bytes() == FILES["train.jsonl"]


@pytest.mark.slow
def test_dead_hub(monkeypatch, capsys):
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{port}")
    monkeypatch.setattr(hub, "WAITS", (0.0,))
    with pytest.raises(TransientError, match=r"tried 2 times; .* set CORPUS_MIRROR to a folder") as caught:
        fetch()
    assert "Connection refused" in str(caught.value)
    assert capsys.readouterr().out.count("trying again") == 1


@pytest.mark.slow
def test_one_timeout_then_success(server, monkeypatch, capsys):
    monkeypatch.setattr(hub, "WAITS", (0.0,))
    server.stall = 1
    assert fetch().revision == COMMIT
    assert "ReadTimeout: timed out; trying again" in capsys.readouterr().out


@pytest.mark.slow
def test_a_dead_hub_is_not_replaced_by_a_cached_revision(server):
    fetch()
    server.close()
    with pytest.raises(TransientError, match="no cached revision was used instead"):
        fetch()


@pytest.mark.slow
def test_truncated_file(server):
    server.truncate.add("train.jsonl")
    with pytest.raises(TransientError, match="peer closed connection"):
        fetch()
    server.truncate.clear()
    assert fetch().files["train"][0].path.read_bytes() == FILES["train.jsonl"]


@pytest.mark.parametrize("limit", ["15m", "0", "nan", "inf", "1e12"])
def test_an_invalid_limit_is_named(monkeypatch, limit):
    monkeypatch.setenv(hub.LIMIT, limit)
    with pytest.raises(UserError, match=f"SEQ2SEQ_HUB_SECONDS={limit}: must be a number of seconds"):
        hub._limit()
    monkeypatch.setenv(hub.LIMIT, "")
    assert hub._limit() == hub.DEFAULT_LIMIT


@pytest.mark.slow
def test_a_hub_that_stalls_is_given_up_after_the_timeout(server, monkeypatch):
    server.stall_files = True
    monkeypatch.setenv(hub.LIMIT, "8")
    began = time.monotonic()
    with pytest.raises(TransientError, match=r"no answer within 8 seconds \(SEQ2SEQ_HUB_SECONDS\)"):
        fetch()
    assert time.monotonic() - began < 10


def fill(folder):
    folder.mkdir(parents=True)
    for name, data in FILES.items():
        (folder / name).write_bytes(data)


@pytest.mark.slow
def test_mirror(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")  # no request is made
    monkeypatch.setenv("CORPUS_MIRROR", str(tmp_path / "mirror"))
    with pytest.raises(UserError, match="has no owner/name; put it there, or unset CORPUS_MIRROR"):
        fetch()
    fill(tmp_path / "mirror/owner/name")
    copy = fetch()
    assert (copy.revision, copy.mirror, copy.licence) == (None, True, "cc0-1.0")
    assert copy.summary.endswith("not from the hub; pin.yaml has no hashes to check them against")
    copy = fetch(COMMIT, HASHES)
    assert (copy.revision, copy.mirror) == (COMMIT, True)
    assert copy.summary.endswith("not from the hub; 3 files as pinned")
    with pytest.raises(UserError, match=r"dev\.jsonl has sha256"):
        fetch(COMMIT, HASHES | {"dev.jsonl": "ab" * 32})
    with pytest.raises(UserError, match=r"do not name the same files: dev\.jsonl"):
        fetch(COMMIT, {name: value for name, value in HASHES.items() if name != "dev.jsonl"})
    assert (tmp_path / "mirror/owner/name/dev.jsonl").exists()


def test_a_mirror_cannot_refer_to_other_folders(tmp_path, monkeypatch):
    monkeypatch.setenv("CORPUS_MIRROR", str(tmp_path / "mirror"))
    fill(tmp_path / "mirror/owner/name")
    secret = tmp_path / "secret.jsonl"
    secret.write_bytes(FILES["test.jsonl"])
    (tmp_path / "mirror/owner/name/test.jsonl").unlink()
    (tmp_path / "mirror/owner/name/test.jsonl").symlink_to(secret)
    with pytest.raises(UserError, match=r"name/test.jsonl is a link out of .*, to .*/secret.jsonl"):
        fetch()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[]", "pin.yaml is no pin of a remote corpus:"),
        ("hub: a/b\n", "pin.yaml is no pin of a remote corpus:\n  revision: "),
        ("hub: a/b\nrevision: main\nrevison: x\n", "  revison: 'x': Extra inputs are not permitted"),
        ("hub: a/b\nrevision: main\nsplits: {dev: x}\n", "  splits.dev.[key]: 'dev'"),
        ("hub: a/b\nrevision: main\nfiles: {a: b}\n", "  files.a: 'b': "),
        ("hub: ../..\nrevision: main\n", "  hub: '../..': "),
        ("hub: a/..\nrevision: main\n", "  hub: 'a/..': "),
        (f"hub: a/b\nrevision: main\nfiles: {{../../x: {'ab' * 32}}}\n", "leads out of the dataset"),
        (f"hub: a/b\nrevision: main\nfiles: {{/etc/x.tsv: {'ab' * 32}}}\n", "leads out of the dataset"),
    ],
)
def test_faulty_pins(text, message):
    PIN.write_text(text, encoding="utf-8")
    with pytest.raises(UserError) as caught:
        hub.load(PIN)
    assert message in str(caught.value)


def test_shipped_pin():
    assert hub.load(ROOT / "corpora/multi30k.yaml").hub == "bentrevett/multi30k"


@pytest.fixture
def wrong(monkeypatch, tmp_path):
    """A function that fetches a wrong file; returns the error's text and the file of the cache."""

    def go(cache: Path, *, fresh: bool):
        blob = cache / "blobs/abc"
        blob.parent.mkdir(parents=True)
        blob.write_bytes(b"other bytes")
        place = cache / "snapshots/1/train.jsonl"
        place.parent.mkdir(parents=True)
        place.symlink_to(blob)
        answer = {"revision": COMMIT, "files": {"train": [("train.jsonl", str(place))]}, "licence": None}
        answer["fresh"] = [str(place)] if fresh else []
        monkeypatch.setattr(hub, "_download", lambda path, pin: answer)
        with pytest.raises(UserError) as caught:
            fetch(COMMIT, {"train.jsonl": HASHES["train.jsonl"]})
        return str(caught.value), blob

    return go


@pytest.mark.parametrize("fresh", [True, False])
def test_a_wrong_file_of_a_shared_cache_stays_and_is_named(wrong, tmp_path_factory, fresh):
    text, blob = wrong(tmp_path_factory.mktemp("home") / "huggingface", fresh=fresh)
    assert blob.read_bytes() == b"other bytes"
    assert f"train.jsonl has sha256 {hashlib.sha256(b'other bytes').hexdigest()}" in text
    assert f"but pin.yaml pins {HASHES['train.jsonl']}" in text
    assert "renew the pin: seq2seq pin pin.yaml" in text
    assert f"if the file is damaged, remove {blob} and run again" in text


def test_only_a_wrong_file_that_this_run_downloaded_itself_is_removed(wrong, tmp_path):
    text, blob = wrong(tmp_path / ".cache/first", fresh=False)
    assert blob.is_file()
    assert f"remove {blob} and run again" in text
    text, blob = wrong(tmp_path / ".cache/second", fresh=True)
    assert not blob.exists()
    assert "if the file is damaged, run again, which downloads it again" in text
