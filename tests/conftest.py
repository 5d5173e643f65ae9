"""Every test runs with the settings of every entry: quiet libraries, nothing sent anywhere."""

import os

from seq2seq import environment

environment.prepare()
# The models of tests are tiny: a second thread gains nothing and waits for a busy core by spinning.
os.environ.setdefault("OMP_NUM_THREADS", "1")
