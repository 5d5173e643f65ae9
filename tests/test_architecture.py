"""The structure holds what it states: imports, dvc.yaml, schemas, lock, README and docs."""

import argparse
import ast
import re
import shlex
import subprocess
import sys
import tomllib
from functools import cache
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from flows.__main__ import parser
from seq2seq.__main__ import STAGES
from seq2seq.common import paths, schema
from seq2seq.common.exits import Exit
from seq2seq.inference import packaging
from tests.support.code import DECIDES_NOTHING
from tests.support.projects import ROOT

# By dotted name below seq2seq, e.g. data.corpus.
MODULES = {
    path.relative_to(ROOT / "seq2seq").with_suffix("").as_posix().replace("/", "."): path
    for path in (ROOT / "seq2seq").rglob("*.py")
}
FLOWS = {path.stem: path for path in (ROOT / "flows").glob("*.py")}
DAG = {
    name: stage.get("do", stage)
    for name, stage in YAML(typ="safe").load((ROOT / "dvc.yaml").read_text("utf-8"))["stages"].items()
}
README = (ROOT / "README.md").read_text("utf-8")
PAGES = [
    *("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "benchmarks/README.md"),
    *sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").glob("*.md")),
]


# Which modules may import a framework at all.
DOORS = {
    "mlflow": {
        *(
            "tracking.client",
            "tracking.outbox",
            "tracking.system",
            "tracking.registry",
            "tracking.sqlite_store",
            "tracking.retention",
        ),
        *("inference.pyfunc", "inference.packaging"),
    },
    "sentencepiece": {"data.vocabulary"},
    "sentencex": {"inference.sentences"},
    "datasets": {"data.hub", "data.splits"},
    "huggingface_hub": {"data.hub", "report.model_card"},
    "sacrebleu": {"evaluation.scores"},
    "matplotlib": {"evaluation.plots"},
    "prefect": set(),
    "dvc": {"common.dag"},
    "opusfilter": {"data.opus"},
    "jinja2": {"report.page"},
    "onnx": {"export.builder"},
    "onnxruntime": {"export.search"},
}


@cache
def imports(path: Path) -> frozenset[str]:
    """All modules that a file imports, at any level, by full name."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return frozenset(found)


def ours(path: Path) -> set[str]:
    """The modules of seq2seq that a file imports."""
    names = {name.removeprefix("seq2seq.") for name in imports(path) if name.startswith("seq2seq.")}
    return names & MODULES.keys()


def reach(module: str) -> set[str]:
    """A module and all modules of the project that affect its outputs."""
    seen, todo = set(), {module}
    while todo:
        name = todo.pop()
        seen.add(name)
        todo |= {name for name in ours(MODULES[name]) if not name.startswith(DECIDES_NOTHING)} - seen
    return seen


@pytest.mark.slow
@pytest.mark.parametrize("framework", DOORS)
def test_a_framework_is_imported_by_few_modules_alone(framework):
    found = {
        name
        for name, path in MODULES.items()
        if any(imported.split(".")[0] == framework for imported in imports(path))
    }
    assert found == DOORS[framework]


def test_torch_is_nowhere_near_the_corpus():
    for stage in ("ingest", "clean"):
        for module in reach(stage):
            assert not any(name.split(".")[0] == "torch" for name in imports(MODULES[module])), module


@pytest.mark.slow
def test_only_the_command_line_imports_by_a_string_and_only_downwards():
    """import-linter (pyproject.toml, `make lint`) checks every other import."""
    by_string = ("import_module", "__import__", "run_module")
    found = {}
    for path in (*MODULES.values(), *FLOWS.values()):
        calls = [node for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, ast.Call)]
        by_name = [ast.unparse(c) for c in calls if ast.unparse(c.func).rpartition(".")[2] in by_string]
        if by_name:
            found[path.relative_to(ROOT).as_posix()] = by_name
    assert found == {
        "seq2seq/__main__.py": [
            "importlib.import_module(f'seq2seq.commands.{options.command}')",
            "importlib.import_module(f'seq2seq.{name}')",
        ],
        # By its path, as the program before another: `python processes.py PARENT -m MODULE`.
        "seq2seq/common/processes.py": ["runpy.run_module(module, run_name='__main__', alter_sys=True)"],
    }


@pytest.mark.slow
def test_no_command_imports_prefect_before_it_is_set_up():
    """`run` sets up Prefect's logging and server by variables, which Prefect reads when it is imported."""
    code = "import sys; from flows import {}; assert 'prefect' not in sys.modules"
    modules = re.search(r"from flows import (approve.*)", (ROOT / "flows/__main__.py").read_text())[1]
    subprocess.run([sys.executable, "-c", code.format(modules)], check=True, cwd=ROOT)


def test_a_version_carries_the_code_that_serves_it_alone():
    shipped = {path for path in packaging.serving_files() if path.name != "__init__.py"}
    served = set()
    todo = {"inference.pyfunc", "inference.translator"}  # MLflow loads the one, the package names the other
    while todo:
        served |= todo
        todo = {name for module in todo for name in ours(MODULES[module])} - served
    assert shipped == {MODULES[name] for name in served if MODULES[name].name != "__init__.py"}


def test_one_name_everywhere():
    # Promotion acts on the world: its policy is a section, and it is a flow.
    assert [*DAG, "promote"] == [*STAGES, "promote"] == list(schema.SECTIONS)
    assert ["format", *schema.SECTIONS] == list(schema.Params.model_fields)
    assert "promote" in FLOWS
    for stage, declared in DAG.items():
        parts = " ${key}" * (stage == "ingest")
        assert declared["cmd"] == f"exec python -m seq2seq {stage}{parts}"
        assert any(name.split(".")[0] == stage for name in declared["params"])
        body = ast.parse(MODULES[stage].read_text("utf-8")).body
        assert stage in [node.name for node in body if isinstance(node, ast.FunctionDef)]


@pytest.mark.parametrize("stage", DAG)
def test_the_code_deps_of_a_stage_are_its_imports(stage):
    declared = {dep for dep in DAG[stage]["deps"] if dep.startswith("seq2seq/")}
    needed = {MODULES[name] for name in reach(stage)}
    if stage == "register":  # a version carries what serves it, by file
        needed |= set(packaging.serving_files())
        needed -= {path for path in needed if path.name == "__init__.py" or path.parent.name == "common"}
    assert declared == {path.relative_to(ROOT).as_posix() for path in needed}


@pytest.mark.parametrize("stage", DAG)
def test_a_stage_declares_the_parameters_it_uses(stage):
    sections = "|".join(schema.SECTIONS)
    used = set(re.findall(rf"params\.({sections})\b", MODULES[stage].read_text("utf-8")))
    assert used == {name.split(".")[0] for name in DAG[stage]["params"]}


@pytest.mark.parametrize("stage", DAG)
def test_a_stage_declares_the_paths_it_uses(stage):
    """Every path constant in a stage's module is an out, a dep, or an exception listed here."""
    by_name = {name: value.as_posix() for name, value in vars(paths).items() if isinstance(value, Path)}
    undeclared = {
        "RUN",  # the MLflow run of the model: no result depends on it
        "CURVE",  # only to complete the record of that run
        "CHECKPOINTS",
        "REPORTS",
        "PARAMS",
    }
    used = set(re.findall(r"paths\.([A-Z]+)\b", MODULES[stage].read_text("utf-8"))) - undeclared
    used &= by_name.keys()
    declared = set()
    for key in ("deps", "outs", "metrics", "plots"):
        items = DAG[stage].get(key, [])
        declared |= {item if isinstance(item, str) else next(iter(item)) for item in items}
    declared = {name.removesuffix("/${key}") for name in declared}
    assert {by_name[name] for name in used} <= declared


def test_every_out_has_its_one_name():
    named = {value.as_posix() for value in vars(paths).values() if isinstance(value, Path)}
    for declared in DAG.values():
        for key in ("outs", "metrics", "plots"):
            for item in declared.get(key, []):
                name = item if isinstance(item, str) else next(iter(item))
                assert name.removesuffix("/${key}") in named


def test_every_out_is_ignored_by_git():
    ignored = (ROOT / ".gitignore").read_text().split()
    for value in (paths.RAW, paths.MODEL, paths.REPORTS, paths.CHECKPOINTS):
        assert f"/{value.parts[0]}" in ignored


def test_the_lock_pins_everything_and_nothing_local():
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if line[0] not in "# "]
    assert len(lines) > 200
    assert all(re.match(r"[a-z0-9._-]+(\[[a-z,0-9-]+\])?==[0-9][^+]*( ;.*)?$", line) for line in lines)
    pinned = {re.split(r"[=\[]", line)[0] for line in lines}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for requirement in (*project["dependencies"], *project["optional-dependencies"]["dev"]):
        assert re.match(r"[A-Za-z0-9-]+", requirement)[0].replace(".", "-").lower() in {
            name.replace(".", "-") for name in pinned
        } or requirement.startswith("ruamel.yaml")


def commands(text: str) -> list[list[str]]:
    """The command lines of a page, in shell blocks and in code spans, without variables set before them."""
    blocks = "\n".join(re.findall(r"```(?:sh|bash|console)\n(.*?)```", text, re.DOTALL))
    lines = [line for line in blocks.replace("\\\n", "").splitlines() if re.match(r"[a-zA-Z.]", line)]
    lines += re.findall(r"`((?:make|(?:\.venv/bin/)?(?:python -m|seq2seq)) [^`]+)`", text)
    found = []
    for line in lines:
        words: list[str] = []
        for word in shlex.split(line, comments=True):
            if word in ("&&", "|", ">"):
                break
            words += [word] if words or "=" not in word else []
        found.append(words)
    return found


def parsed() -> dict[str, argparse.ArgumentParser]:
    """The commands of the parser, by name."""
    return next(a.choices for a in parser()._actions if isinstance(a, argparse._SubParsersAction))


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES)
def test_every_command_a_page_shows_exists(page):
    targets = set(re.findall(r"^([a-z-]+):.*##", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for words in commands((ROOT / page).read_text("utf-8")):
        match words:
            case ["make", *rest]:
                assert {word for word in rest if "=" not in word} <= targets, words
            case [("seq2seq" | ".venv/bin/seq2seq"), name, *rest]:
                assert name in parsed(), words
                if rest:
                    assert parser().parse_args([name, *rest])
            case [("python" | ".venv/bin/python"), "-m", module, *rest]:
                path = ROOT / f"{module.replace('.', '/')}.py"
                if module.split(".")[0] not in ("seq2seq", "flows", "benchmarks"):
                    continue  # a library's
                assert path.is_file(), module
                known = path.read_text("utf-8")
                assert all(f'"{word}"' in known for word in rest if word.startswith("-")), words


def test_commands_are_found_in_pages():
    shown = [words for page in PAGES for words in commands((ROOT / page).read_text("utf-8"))]
    assert sum(words[:1] == ["make"] for words in shown) >= 20
    assert sum(words[:1] == [".venv/bin/seq2seq"] for words in shown) >= 15


# CHANGELOG.md names files that have moved.
@pytest.mark.parametrize("page", [page for page in PAGES if page != "CHANGELOG.md"])
def test_every_file_a_page_names_exists(page):
    folders = r"seq2seq|flows|infra|recipes|corpora|tests|benchmarks|docs|\.ci|\.github"
    named = set(re.findall(rf"[`(]((?:{folders})/[\w./-]+)[`)]", (ROOT / page).read_text("utf-8")))
    assert [name for name in named if not (ROOT / name).exists()] == []


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as git hosts and MkDocs make them."""
    text = re.sub(r"```.*?```", "", page.read_text("utf-8"), flags=re.DOTALL)
    headings = re.findall(r"^#+ (.*)", text, re.MULTILINE)
    return {re.sub(r"\s", "-", re.sub(r"[^\w\s-]", "", heading.lower())) for heading in headings}


@pytest.mark.parametrize("page", PAGES)
def test_every_link_of_a_page_leads_somewhere(page):
    for target in re.findall(r"\]\((?!\w+:)([^)\s]+)\)", (ROOT / page).read_text("utf-8")):
        name, _, anchor = target.partition("#")
        path = (ROOT / page).parent / name if name else ROOT / page
        assert path.exists(), target
        assert not anchor or anchor in anchors(path), target


def test_pages_name_every_folder_and_every_command():
    pages = "\n".join((ROOT / page).read_text("utf-8") for page in PAGES)
    folders = {path.parent.relative_to(ROOT / "seq2seq").parts[:1] for path in MODULES.values()} - {()}
    assert [f for (f,) in folders if f"  {f}/ " not in README or f"`seq2seq/{f}/`" not in pages] == []
    assert [c for c in parsed() if f"`{c}`" not in pages and f"seq2seq {c}" not in pages] == []


def test_the_readme_is_short():
    assert len(README.splitlines()) <= 200


def test_the_diagram_shows_the_stages_in_order():
    diagram = next(block for block in re.findall(r"```.*?```", README, re.DOTALL) if "ingest ─" in block)
    positions = [diagram.index(stage) for stage in STAGES]
    assert positions == sorted(positions)


def test_the_page_of_exit_statuses_is_the_table():
    page = (ROOT / "docs/promotion.md").read_text("utf-8")
    documented = {int(status) for status in re.findall(r"^\| (\d+) \|", page, re.MULTILINE)}
    assert documented == {*Exit} - {Exit.PIPE_CLOSED}
