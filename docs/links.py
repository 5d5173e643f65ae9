"""Pages and figures outside docs/ as parts of the site: a hook of MkDocs.

Why: a link such as ../benchmarks/README.md is right in a checkout and on the page of a git host, but MkDocs
reads only files below docs/. The hook adds each linked file of the repository to the site, at its path,
and rewrites the links of a page from the repository's folders to the site's.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[1]
OUTSIDE = ("benchmarks/README.md", "CONTRIBUTING.md", "CHANGELOG.md")  # pages of the site
LINK = re.compile(r"(?<=\]\()(?!\w+:|#|/)([^)#\s]+)")  # a relative target, without its anchor


def on_files(files: Files, config: Any) -> Files:
    """Add the pages outside docs/, and each other file of the repository that a page links to."""
    pages = [Path("docs", file.src_uri) for file in files.documentation_pages()] + [Path(p) for p in OUTSIDE]
    linked = {target for page in pages for target in _targets(page)}
    for name in sorted({*OUTSIDE, *linked}):
        if not name.startswith("docs/") and (ROOT / name).is_file():
            files.append(File.generated(config, name, abs_src_path=str(ROOT / name)))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files) -> str:
    """Rewrite relative links: on the site, the files of docs/ lie beside those of the repository's root."""
    here = page.file.src_uri
    source = here if here in OUTSIDE else f"docs/{here}"

    def rewritten(match: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(posixpath.dirname(source), match[1])).removeprefix("docs/")
        return posixpath.relpath(target, posixpath.dirname(here) or ".")

    return LINK.sub(rewritten, markdown)


def _targets(page: Path) -> set[str]:
    """The files that a page links to, from the repository's root."""
    found = LINK.findall((ROOT / page).read_text(encoding="utf-8"))
    return {posixpath.normpath(posixpath.join(page.parent.as_posix(), target)) for target in found}
