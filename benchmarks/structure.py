"""`make structure`: the rooms of the code, the imports between them, circles, floors, and lines of code.

Why: whether the architecture can be read from the listing is a number that a change can make worse. A room is
a folder of a package, or a module beside the folders; an arrow is an import between two rooms.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import grimp

PACKAGES = ("seq2seq", "flows")
COUNTED = (*PACKAGES, "infra", "benchmarks", "tests")  # whose lines are counted

Graph = dict[str, set[str]]  # the rooms that each room imports


def room(module: str) -> str:
    """The room of a module: `seq2seq.data.corpus` is in `seq2seq.data`."""
    return ".".join(module.split(".")[:2])


def rooms(root: Path) -> Graph:
    """The rooms of the packages in a folder, and the rooms that they import."""
    sys.path.insert(0, str(root))
    try:
        graph = grimp.build_graph(*PACKAGES, cache_dir=None)
    finally:
        sys.path.remove(str(root))
    found: Graph = {room(module): set() for module in graph.modules}
    for module in graph.modules:
        found[room(module)] |= {room(name) for name in graph.find_modules_directly_imported_by(module)}
    for name, imported in found.items():
        imported -= {name, *PACKAGES}  # a package's __init__ is no room
    return {name: imported for name, imported in found.items() if name not in PACKAGES}


def circle(graph: Graph) -> list[str]:
    """Rooms that import one another in a circle; empty if there are none."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        found: list[str] = error.args[1]
        return found
    return []


def floors(graph: Graph) -> int:
    """The number of rooms on the longest way down; the graph has no circle."""
    height: dict[str, int] = {}
    for name in TopologicalSorter(graph).static_order():
        height[name] = 1 + max((height[below] for below in graph[name]), default=0)
    return max(height.values(), default=0)


def lines(files: Iterable[Path]) -> int:
    """The number of lines of some files."""
    return sum(len(path.read_text("utf-8").splitlines()) for path in files)


def figures(graph: Graph, packages: tuple[str, ...]) -> str:
    """The figures of some packages."""
    chosen = {name for name in graph if name.partition(".")[0] in packages}
    part = {name: graph[name] & chosen for name in chosen}
    found = circle(part)
    shape = f"a circle: {' -> '.join(found)}" if found else f"no circle, {floors(part)} floors"
    return f"{len(part):3} rooms, {sum(map(len, part.values())):3} arrows, {shape}"


def main() -> None:
    """Print the figures of a folder with this project, by default the current one."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.structure", description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=Path(), help="a checkout of any commit")
    root = parser.parse_args().folder.resolve()
    graph = rooms(root)
    for packages in (*((one,) for one in PACKAGES), PACKAGES):
        print(f"{' and '.join(packages):17} {figures(graph, packages)}")
    for name in COUNTED:
        print(f"{lines((root / name).rglob('*.py')):7,} lines of {name}/")
    print(f"{lines([root / 'README.md']):7,} lines of README.md")


if __name__ == "__main__":
    main()
