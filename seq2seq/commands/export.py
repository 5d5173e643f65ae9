"""`seq2seq export`: a model as a folder that translates with onnxruntime, and its evaluation as exported."""

from __future__ import annotations

import argparse
import json
import os
import shutil
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from seq2seq.commands.translate import model_folder
from seq2seq.common.errors import UserError

PACKAGES = ("onnx", "onnxruntime")


def run(options: argparse.Namespace) -> None:
    """Write the folder, and measure it on a file of pairs if there is one."""
    if missing := [name for name in PACKAGES if find_spec(name) is None]:
        raise UserError(
            f"export: {' and '.join(missing)} missing: install the extra, "
            "`pip install -c constraints.txt -e '.[onnx]'`"
        )
    folder: Path = options.output
    if folder.exists():
        raise UserError(f"--output: {folder} exists: name a new folder, or delete it")
    if options.score is not None and not options.score.is_file():
        raise UserError(f"--score: {options.score} is no file")
    found = export(model_folder(options.model), folder, options)
    print(json.dumps(found, indent=2, ensure_ascii=False) if options.json else _shown(folder, found))


def export(model: Path, folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """The record of export.json; the folder appears when it is complete."""
    from seq2seq.export import package

    if not model.is_dir():
        raise UserError(f"{model} is not a model folder: `make run` trains one into `model`")
    draft = folder.with_name(f"{folder.name}.{os.getpid()}.new")
    try:
        record = package.write(model, draft, options.precision, options.model)
        if options.score is not None:
            record["evaluation"] = _evaluation(draft, model, options)
        package.finish(draft, record)
        draft.rename(folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return record


def _evaluation(draft: Path, model: Path, options: argparse.Namespace) -> dict[str, Any]:
    import torch

    from seq2seq.commands.score import read_pairs
    from seq2seq.data import direction
    from seq2seq.evaluation import bleu_tokenizer
    from seq2seq.export import measure

    pairs, _ = read_pairs(model, options.score, options.source_column, options.target_column)
    tokenizer = bleu_tokenizer.choose(None, direction.read(model).target)
    found = measure.measure(draft, model, pairs, tokenizer, torch.get_num_threads())
    return {"file": str(options.score), **found}


def _shown(folder: Path, record: dict[str, Any]) -> str:
    size = record["bytes"] / 1e6
    lines = [f"{folder}: {record['precision']}, {size:.1f} MB; `python {folder}/translate.py TEXT`"]
    if found := record.get("evaluation"):
        lines.append(
            f"BLEU {found['bleu']:.2f}, {found['difference']:+.2f} (p {found['p']}) from the model's "
            f"{found['bleu_of_the_model']:.2f}; {found['same_translations']:,} of {found['sentences']:,} "
            "translations are the same"
        )
        for beam, speed in found["speed"].items():
            lines.append(
                f"beam {beam}: {speed['exported']:,.0f} sentences/s, {speed['ratio']:.2f} times the model's "
                f"{speed['model']:,.0f} in float32, {found['threads']} threads"
            )
        lines.append(f"first answer of a new process after {found['first_answer_seconds']:.2f} s")
    return "\n".join(lines)
