"""Reuse of freed memory in a process of its own."""

import platform
import subprocess
import sys

import pytest


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has these options")
def test_freed_memory_is_reused():
    code = """
import resource, torch
from seq2seq.common.memory import keep_freed_memory
def faults(numbers):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.ones(numbers)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
def faults_after_more():  # smaller than the freed block, to fit with alignment
    faults(2**24 + 2**18)
    return faults(2**24)
usual = faults_after_more()
keep_freed_memory()
print(usual, faults_after_more())
"""
    run = subprocess.run([sys.executable, "-c", code], check=True, text=True, stdout=subprocess.PIPE)
    usual, kept = map(int, run.stdout.split())
    assert usual > 20  # 64 MiB taken anew: 16,384 pages, or 32 huge ones
    assert kept < usual / 10
