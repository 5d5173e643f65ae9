"""The choice of the device, its errors, and reuse of freed memory."""

import pytest
import torch

from seq2seq.common.device import choose_device, wants_graphs
from seq2seq.common.errors import UserError

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


def test_the_choice_is_printed_with_its_reason(monkeypatch, capsys):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.delenv("SEQ2SEQ_DEVICE")
    assert choose_device("train") == CPU
    assert "train: on cpu (no CUDA device found, " in capsys.readouterr().out
    monkeypatch.setenv("SEQ2SEQ_DEVICE", "cpu")
    assert choose_device("evaluate") == CPU
    assert capsys.readouterr().out == "evaluate: on cpu (set by SEQ2SEQ_DEVICE)\n"


@pytest.mark.parametrize("name", ["meta", "mps", "cuda:99", "gpu", "7"])
def test_a_device_that_cannot_be_used_is_named(monkeypatch, name):
    monkeypatch.setenv("SEQ2SEQ_DEVICE", name)
    with pytest.raises(UserError, match=rf"{name} \(set by SEQ2SEQ_DEVICE\) cannot be used: "):
        choose_device("train")


def test_processes_share_no_gpu(monkeypatch):
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    monkeypatch.setenv("SEQ2SEQ_DEVICE", "cuda:0")
    with pytest.raises(UserError, match="several processes need a device each"):
        choose_device("train")


def test_graphs_need_the_variable_a_gpu_and_one_process(monkeypatch):
    values = {"": False, "0": False, "1": True}
    for value, wanted in values.items():
        monkeypatch.setenv("SEQ2SEQ_CUDA_GRAPHS", value)
        assert wants_graphs(CUDA) is wanted
        assert wants_graphs(CPU) is False
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(UserError, match="SEQ2SEQ_CUDA_GRAPHS=1: for one process only"):
        wants_graphs(CUDA)
    monkeypatch.setenv("SEQ2SEQ_CUDA_GRAPHS", "true")
    with pytest.raises(UserError, match="SEQ2SEQ_CUDA_GRAPHS=true: must be 1, for CUDA graphs, or 0"):
        wants_graphs(CPU)
