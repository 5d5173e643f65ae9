"""`python -m benchmarks`: every contest in turn, one table, and .cache/bench/results.json.

Why: see benchmarks/__init__.py. `make bench` is the same. Contestants stay in memory while they wait
for their turns: training takes 9 GB, 12 with JoeyNMT.
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
LEGEND = "quiet: steps that count; / X: how many times as fast as X; peak: memory; size: parameters"


@dataclass
class Report:
    """What is said at the end: lines of text, and all that was measured."""

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
    """Run what is asked for and print the table; returns the exit status."""
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
        words = (error.stdout or "").splitlines()[-5:]
        print("\n  ".join([f"error: {error}", *words]), file=sys.stderr)
        status = 1
    except KeyboardInterrupt:
        status = 130
    if not report.results:
        return status
    report.lines += ["", LEGEND]
    say("")
    print("\n".join(report.lines))
    print(f"{duration(time.monotonic() - began)}; every step is in {RESULTS.relative_to(corpus.ROOT)}")
    RESULTS.write_text(json.dumps({"table": report.lines, **report.results}, indent=1) + "\n", "utf-8")
    return status


def measure(options: argparse.Namespace, report: Report) -> None:
    """All parts that are asked for."""
    folder = prepare_corpus(options.corpus, report)
    report.lines.append(
        f"model: embedding {setting.EMBEDDING}, BiLSTM 2 x {setting.UNITS}, decoder {setting.UNITS}, "
        f"additive attention {setting.ATTENTION}; {setting.SENTENCES} sentences a batch"
    )
    peer = None
    if options.peers:
        say("JoeyNMT: its environment, set up once")
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
    results = contest(programs, {"update": options.steps}, LOGS / "training", say, options.quiet)["update"]
    against = {"reference": setting.REFERENCE, "naive": setting.NAIVE, "JoeyNMT": setting.JOEYNMT}
    report.add("training", table.rates("training, target tokens", "tokens/s", results, against), results)


def decoding(
    options: argparse.Namespace, folder: Path, peer: str | None, report: Report, model: Path | None = None
) -> None:
    """Batches and single sentences: untrained models and one length for all, or a trained model of ours."""
    names = (setting.REFERENCE_SEARCH, setting.FAST, setting.FAST_BF16)
    programs = [ours("decoding", name, folder, model) for name in names]
    greedy = contest(programs, {"greedy": options.steps}, LOGS / "decoding", say, options.quiet)["greedy"]
    if peer:
        programs.append(joeynmt("decoding", folder, peer))
    kinds = {"batch": options.steps, "singles": options.steps}
    results = contest(programs, kinds, LOGS / "decoding", say, options.quiet)
    against = {"reference": setting.REFERENCE_SEARCH, "JoeyNMT": setting.JOEYNMT}
    what = model.name if model else f"{setting.FORCED} tokens*"
    title = f"beam {setting.BEAM}, batches of {setting.TOGETHER}, {what}"
    report.add(f"batches, {what}", table.rates(title, "sents/s", results["batch"], against), results["batch"])
    title = f"greedy, batches of {setting.TOGETHER}, {what}"
    report.add(f"greedy, {what}", table.rates(title, "sents/s", greedy, against), greedy)
    title = f"beam {setting.BEAM}, one by one, {what}"
    report.add(f"one by one, {what}", table.latencies(title, results["singles"]), results["singles"])
    if not model:
        report.lines.append("* untrained models that never say eos: every hypothesis is as long")


def other_stages(options: argparse.Namespace, folder: Path, report: Report) -> None:
    """Cleaning, tokenising, nothing."""
    repeats = min(options.steps, 3)
    say("stages: clean")
    measured = [stages.cleaning(repeats, options.quiet)]
    say("stages: tokenize")
    measured.append(stages.tokenising(folder, repeats, options.quiet))
    say("stages: a pipeline with nothing to do")
    measured.append(stages.idling(repeats, options.quiet))
    report.add("stages", table.stages(measured), [result for pair in measured for result in pair])


def ours(task: str, name: str, folder: Path, model: Path | None = None) -> Program:
    """One of our own contestants."""
    order = {"task": task, "name": name, "data": str(folder / paths.RAW.parent)}
    if model:
        order["model"] = str(model)
    return Program(name, [sys.executable, "-m", "benchmarks.contestant", json.dumps(order)])


def joeynmt(task: str, folder: Path, python: str) -> Program:
    """JoeyNMT."""
    order = {"task": task, "data": str(corpus.as_text(folder))}
    return Program(setting.JOEYNMT, [python, "-m", "benchmarks.joeynmt", json.dumps(order)])


def prepare_corpus(wanted: str | None, report: Report) -> Path:
    """The corpus asked for, or Multi30k, or where that cannot be had the grammar's, which the table says."""
    say(f"corpus: {wanted or 'multi30k'}")
    try:
        folder = corpus.make(wanted or "multi30k")
    except subprocess.CalledProcessError:
        if wanted:
            raise
        say("corpus: grammar")
        folder = corpus.make("grammar")
        report.lines.append("no way to Multi30k from here, CORPUS_MIRROR could be one; so the grammar's:")
    report.lines.append(f"corpus: {corpus.describe(folder)}")
    if folder.name != "multi30k":
        report.lines.append("not Multi30k: these figures do not compare with the documented ones")
    return folder


def header(limit: float) -> list[str]:
    """The machine, and which steps count."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    variables = ", ".join(f"{name}={os.environ.get(name, '')}" for name in THREADING)
    changed = " with changes" if workspace.dirty() == "true" else ""
    counted = f"steps with less than {limit:.0%} foreign CPU use" if limit < 1 else "all steps"
    if not STAT.is_file():
        counted = "all steps: this system does not say what others use"
    return [
        f"machine: {names[0] if names else platform.processor()}, {os.cpu_count()} processors, "
        f"{platform.system()}",
        f"PyTorch {version('torch')} on the CPU, {variables}; commit {workspace.commit()[:9]}{changed}",
        f"contestants take turns; medians of {counted}",
    ]


def products() -> list[str]:
    """How bfloat16 products are made, for all contestants alike; a line if they are emulated."""
    import torch

    from seq2seq.nn.precision import BF16, choose_precision

    chosen = choose_precision("bf16", torch.device("cpu"))
    os.environ[BF16] = chosen.products
    if not chosen.emulated:
        return []
    return ["bf16 is emulated: operands are rounded to bfloat16 and multiplied in float32"]


def say(text: str) -> None:
    """Progress: one line that is written over on a terminal, lines elsewhere."""
    if sys.stderr.isatty():
        print(f"\r\033[K{text[:99]}", end="", file=sys.stderr, flush=True)
    else:
        print(text, file=sys.stderr, flush=True)


def parser() -> argparse.ArgumentParser:
    """The options."""
    options = argparse.ArgumentParser(
        prog="python -m benchmarks", description="what is measured, as one table"
    )
    options.add_argument("--steps", type=int, default=6, help="steps of each contestant that are kept (6)")
    options.add_argument("--peers", action="store_true", help="JoeyNMT too, installed at the first time")
    options.add_argument(
        "--corpus", choices=corpus.RECIPES, help="multi30k, or grammar where it cannot be had"
    )
    options.add_argument("--model", type=Path, metavar="FOLDER", help="decode with this trained model too")
    options.add_argument("--only", nargs="+", choices=PARTS, default=PARTS, help="these parts of it")
    options.add_argument(
        "--quiet", type=float, default=QUIET, help=f"most foreign CPU use ({QUIET}); 9 counts all"
    )
    return options


if __name__ == "__main__":
    sys.exit(main())
