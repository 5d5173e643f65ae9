"""A translation memory of a million units is read in the memory of a small one."""

import gzip
import sys

import pytest

from tests.data.test_tmx import HEADER, peak

UNIT = (
    '<tu tuid="{0}" changeid="anna"><prop type="x-document">{0}.docx</prop>\n'
    '<tuv xml:lang="de-DE"><seg>Das ist der <bpt i="1">&lt;b&gt;</bpt>Satz<ept i="1">&lt;/b&gt;</ept> {0}.'
    '</seg></tuv><tuv xml:lang="en-US"><seg>This is sentence {0} &amp; more.</seg></tuv></tu>\n'
)


@pytest.mark.nightly
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="ru_maxrss in KiB")
@pytest.mark.timeout(1800)
def test_a_million_units(tmp_path):
    with gzip.open(tmp_path / "x.tmx.gz", "wt", compresslevel=1, encoding="utf-8") as file:
        file.write(f"<tmx>{HEADER.format('de')}<body>")
        file.writelines(map(UNIT.format, range(1_000_000)))
        file.write("</body></tmx>")
    rows, grown = peak(tmp_path / "x.tmx.gz")
    assert rows == 1_000_000
    assert grown < 300
