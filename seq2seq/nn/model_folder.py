"""A model as files: weights and config in a folder, without pickle, so that no file can run code.

Why: registered models outlive the code that wrote them. A folder names its format; another format is
refused instead of being misread.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from seq2seq.common.errors import UserError
from seq2seq.nn.model import Config, Seq2Seq
from seq2seq.nn.model_files import CONFIG, WEIGHTS, digest

__all__ = ["CONFIG", "FORMAT", "WEIGHTS", "digest", "load", "save", "stored_name"]

# Format 2: the decoder predicted y_i from c_i. Format 1: also, dot and general scores were not divided.
FORMAT = 3
# Parameters whose names in files are older than those of their modules.
STORED_NAMES = {"encoder.forward_lstm.": "encoder.rightward.", "encoder.backward_lstm.": "encoder.leftward."}


def save(model: Seq2Seq, folder: Path) -> None:
    """Write weights and config into a folder; a tied table once."""
    folder.mkdir(parents=True, exist_ok=True)
    weights = {stored_name(name): p.detach().cpu().contiguous() for name, p in model.named_parameters()}
    save_file(weights, folder / WEIGHTS)
    text = json.dumps({"format": FORMAT, "model": asdict(model.config)}, indent=2)
    (folder / CONFIG).write_text(text + "\n", encoding="utf-8")


def load(folder: Path) -> Seq2Seq:
    """Read a folder written by `save`; raises UserError for another format or missing files."""
    try:
        stored = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        written = stored.get("format")
        same = written == FORMAT or (written in (1, 2) and stored["model"]["attention"] == "none")
        if not same:
            raise UserError(
                f"{folder / CONFIG}: format {written!r}, this code reads format "
                f"{FORMAT}: use the version of seq2seq that wrote it"
            )
        model = Seq2Seq(Config(**stored["model"]))
        weights = {stored_name(name): weight for name, weight in load_file(folder / WEIGHTS).items()}
    except FileNotFoundError as error:
        missing = error.filename or folder / WEIGHTS  # safetensors does not name it
        raise UserError(f"{missing} is missing: {folder} is not a model folder") from None
    except UserError:
        raise
    except (ValueError, KeyError, TypeError, AttributeError, SafetensorError) as error:
        raise UserError(f"{folder} is damaged ({error}): take the model from the registry again") from None
    parameters = {stored_name(name): p for name, p in model.named_parameters()}
    here, there = ({(name, p.shape) for name, p in some.items()} for some in (parameters, weights))
    if odd := sorted({name for name, _ in here ^ there}):
        raise UserError(f"{folder / WEIGHTS}: weights and config disagree about {', '.join(odd)}")
    with torch.no_grad():
        for name, parameter in parameters.items():
            parameter.copy_(weights[name])
    return model


def stored_name(name: str) -> str:
    """The name of a parameter in files; a stored name is its own."""
    for module, stored in STORED_NAMES.items():
        name = name.replace(module, stored)
    return name
