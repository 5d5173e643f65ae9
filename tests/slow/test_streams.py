"""Reading with little memory, in a process of its own."""

import gzip
import os
import subprocess
import sys

import pytest

from tests.support.projects import ROOT


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="RLIMIT_AS")
@pytest.mark.parametrize("name", ["x.tsv", "x.csv", "x.jsonl", "array.json"])
def test_an_endless_line_takes_little_memory(tmp_path, name):
    start = {"x.jsonl": b'{"a": "', "array.json": b'[{"a": "'}.get(name, b"a")
    with gzip.open(tmp_path / name, "wb", compresslevel=1) as file:
        file.write(start)
        for _ in range(100):
            file.write(b"a" * 2**20)
    code = (
        "import resource, sys; from pathlib import Path; from seq2seq.data.formats import open_table\n"
        "used = int(Path('/proc/self/statm').read_text().split()[0]) * resource.getpagesize()\n"
        "resource.setrlimit(resource.RLIMIT_AS, (used + 2**26, used + 2**26))\n"
        "print(list(open_table(Path(sys.argv[1]), 0, 1).rows))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / name)],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "MemoryError" not in done.stderr
    assert f"{name}, line 1" in done.stderr.splitlines()[-1]
    assert "of more than 1,048,576" in done.stderr.splitlines()[-1]
