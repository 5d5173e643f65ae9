"""`python -m benchmarks`: runs all contests, prints a table and writes .cache/bench/results.json.

Why: see benchmarks/__init__.py. `make bench` is the same. Contestants stay in memory between their turns:
training takes 9 GB, 12 with JoeyNMT.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks import corpus, peers, setting, stages, table
from benchmarks.contest import QUIET, ContestantError, Program, Result, contest
from benchmarks.turns import STAT
from seq2seq.common import environment, paths, workspace
from seq2seq.common.progress import duration

RESULTS = corpus.FOLDER / "results.json"
LOGS = corpus.FOLDER / "logs"
PARTS = ("training", "decoding", "stages")
THREADING = ("OMP_NUM_THREADS", "GOMP_SPINCOUNT")  # the same for all
LEGEND = "quiet: steps that count; / X: speed relative to X; peak: memory; size: parameters"


@dataclass
class Report:
    """The final report: lines of text, and all measurements."""

    lines: list[str] = field(default_factory=list)
    results: dict[str, Any] = field(default_factory=dict)

    def add(self, name: str, lines: Sequence[str], results: Sequence[Result]) -> None:
        """A part of the table."""
        self.lines += ["", *lines]
        self.results[name] = [
            {
                "name": result.name,
                "rate": result.rate,
                "seconds": result.seconds,
                "parameters": result.parameters,
                "steps": [step._asdict() for step in result.steps],
            }
            for result in results
        ]


def main(arguments: list[str] | None = None) -> int:
    """Run the chosen benchmarks and print the table; returns the exit status."""
    options = parser().parse_args(arguments)
    os.chdir(corpus.ROOT)
    environment.configure_process(corpus.ROOT)
    began = time.monotonic()
    report = Report()
    report.lines += [*header(options.quiet), *products()]
    status = 0
    try:
        measure(options, report)
    except ContestantError as error:
        print(f"error: {error}", file=sys.stderr)
        status = 1
    except subprocess.CalledProcessError as error:
        lines = (error.stdout or "").splitlines()[-5:]
        print("\n  ".join([f"error: {error}", *lines]), file=sys.stderr)
        status = 1
    except KeyboardInterrupt:
        status = 130
    if not report.results:
        return status
    report.lines += ["", LEGEND]
    show("")
    print("\n".join(report.lines))
    print(f"{duration(time.monotonic() - began)}; every step is in {RESULTS.relative_to(corpus.ROOT)}")
    RESULTS.write_text(json.dumps({"table": report.lines, **report.results}, indent=1) + "\n", "utf-8")
    return status


def measure(options: argparse.Namespace, report: Report) -> None:
    """Run all chosen parts."""
    folder = prepare_corpus(options.corpus, report)
    report.lines.append(
        f"model: embedding {setting.EMBEDDING}, BiLSTM 2 x {setting.UNITS}, decoder {setting.UNITS}, "
        f"additive attention {setting.ATTENTION}; {setting.SENTENCES} sentences a batch"
    )
    peer = None
    if options.peers:
        show("JoeyNMT: installing its environment, once")
        peer = peers.joeynmt()
    if "training" in options.only:
        training(options, folder, peer, report)
    if "decoding" in options.only:
        decoding(options, folder, peer, report)
        if options.model:
            decoding(options, folder, None, report, options.model.resolve())
    if "stages" in options.only:
        other_stages(options, folder, report)


def training(options: argparse.Namespace, folder: Path, peer: str | None, report: Report) -> None:
    """Whole updates."""
    names = (setting.NAIVE, setting.HOISTED, setting.REFERENCE, setting.FAST, setting.FAST_BF16)
    programs = [ours("training", name, folder) for name in names]
    if peer:
        programs.append(joeynmt("training", folder, peer))
    results = contest(programs, {"update": options.steps}, LOGS / "training", show, options.quiet)["update"]
    against = {"reference": setting.REFERENCE, "naive": setting.NAIVE, "JoeyNMT": setting.JOEYNMT}
    report.add("training", table.rates("training, target tokens", "tokens/s", results, against), results)


def decoding(
    options: argparse.Namespace, folder: Path, peer: str | None, report: Report, model: Path | None = None
) -> None:
    """Batches and single sentences: untrained models and one length for all, or a trained model of ours."""
    names = (setting.REFERENCE_SEARCH, setting.FAST, setting.FAST_BF16, setting.FAST_INT8)
    programs = [ours("decoding", name, folder, model) for name in names]
    greedy = contest(programs, {"greedy": options.steps}, LOGS / "decoding", show, options.quiet)["greedy"]
    if peer:
        programs.append(joeynmt("decoding", folder, peer))
    kinds = {"batch": options.steps, "singles": options.steps}
    results = contest(programs, kinds, LOGS / "decoding", show, options.quiet)
    against = {"reference": setting.REFERENCE_SEARCH, "JoeyNMT": setting.JOEYNMT}
    lengths = model.name if model else f"{setting.FORCED} tokens*"
    title = f"beam {setting.BEAM}, batches of {setting.TOGETHER}, {lengths}"
    report.add(
        f"batches, {lengths}", table.rates(title, "sents/s", results["batch"], against), results["batch"]
    )
    title = f"greedy, batches of {setting.TOGETHER}, {lengths}"
    report.add(f"greedy, {lengths}", table.rates(title, "sents/s", greedy, against), greedy)
    title = f"beam {setting.BEAM}, one by one, {lengths}"
    report.add(f"one by one, {lengths}", table.latencies(title, results["singles"]), results["singles"])
    if not model:
        report.lines.append("* untrained models that never generate eos: all hypotheses have one length")


def other_stages(options: argparse.Namespace, folder: Path, report: Report) -> None:
    """Cleaning, tokenising, and a pipeline with nothing to do."""
    repeats = min(options.steps, 3)
    show("stages: clean")
    measured = [stages.cleaning(repeats, options.quiet)]
    show("stages: tokenize")
    measured.append(stages.tokenising(folder, repeats, options.quiet))
    show("stages: a pipeline with nothing to do")
    measured.append(stages.idling(repeats, options.quiet))
    report.add("stages", table.stages(measured), [result for pair in measured for result in pair])


def ours(task: str, name: str, folder: Path, model: Path | None = None) -> Program:
    """The program of one of our contestants."""
    order = {"task": task, "name": name, "data": str(folder / paths.RAW.parent)}
    if model:
        order["model"] = str(model)
    return Program(name, [sys.executable, "-m", "benchmarks.contestant", json.dumps(order)])


def joeynmt(task: str, folder: Path, python: str) -> Program:
    """The program of JoeyNMT."""
    order = {"task": task, "data": str(corpus.as_text(folder))}
    return Program(setting.JOEYNMT, [python, "-m", "benchmarks.joeynmt", json.dumps(order)])


def prepare_corpus(wanted: str | None, report: Report) -> Path:
    """The chosen corpus; by default Multi30k or, if it is unavailable, the grammar's, noted in the table."""
    show(f"corpus: {wanted or 'multi30k'}")
    try:
        folder = corpus.make(wanted or "multi30k")
    except subprocess.CalledProcessError:
        if wanted:
            raise
        show("corpus: grammar")
        folder = corpus.make("grammar")
        report.lines.append("Multi30k is not available (see CORPUS_MIRROR); the grammar's corpus instead:")
    report.lines.append(f"corpus: {corpus.describe(folder)}")
    if folder.name != "multi30k":
        report.lines.append("not Multi30k: these figures do not compare with the documented ones")
    return folder


def header(limit: float) -> list[str]:
    """Lines on the machine, and on the steps that count."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    variables = ", ".join(f"{name}={os.environ.get(name, '')}" for name in THREADING)
    changed = " with changes" if workspace.dirty() == "true" else ""
    counted = f"steps with less than {limit:.0%} foreign CPU use" if limit < 1 else "all steps"
    if not STAT.is_file():
        counted = "all steps: this system does not report other processes"
    return [
        f"machine: {names[0] if names else platform.processor()}, {os.cpu_count()} processors, "
        f"{platform.system()}",
        f"PyTorch {version('torch')} on the CPU, {variables}; commit {workspace.commit()[:9]}{changed}",
        f"contestants alternate; medians of {counted}",
    ]


def products() -> list[str]:
    """Choose native or emulated bfloat16 products for all contestants; a line if they are emulated."""
    import torch

    from seq2seq.nn.precision import BF16, choose_precision

    chosen = choose_precision("bf16", torch.device("cpu"))
    os.environ[BF16] = chosen.products
    if not chosen.emulated:
        return []
    return ["bf16 is emulated: operands are rounded to bfloat16 and multiplied in float32"]


def show(text: str) -> None:
    """Show progress: one line that is overwritten on a terminal, lines elsewhere."""
    if sys.stderr.isatty():
        print(f"\r\033[K{text[:99]}", end="", file=sys.stderr, flush=True)
    else:
        print(text, file=sys.stderr, flush=True)


def parser() -> argparse.ArgumentParser:
    """The options."""
    options = argparse.ArgumentParser(
        prog="python -m benchmarks", description="run the benchmarks and print one table"
    )
    options.add_argument("--steps", type=int, default=6, help="steps of each contestant that are kept (6)")
    options.add_argument("--peers", action="store_true", help="JoeyNMT too, installed at first use")
    options.add_argument(
        "--corpus", choices=corpus.RECIPES, help="default: multi30k, or grammar if it is unavailable"
    )
    options.add_argument("--model", type=Path, metavar="FOLDER", help="decode with this trained model too")
    options.add_argument("--only", nargs="+", choices=PARTS, default=PARTS, help="only these parts")
    options.add_argument(
        "--quiet",
        type=float,
        default=QUIET,
        help=f"largest foreign CPU use of steps that count ({QUIET}); 9: all",
    )
    return options


if __name__ == "__main__":
    sys.exit(main())
