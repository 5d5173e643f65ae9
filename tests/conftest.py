"""Every test runs with the settings of every entry: quiet libraries, nothing sent anywhere."""

from seq2seq import environment

environment.prepare()
