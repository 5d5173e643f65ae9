"""Backup and restore of the registry, the record and the results: of the team's servers or of one machine.

Why: a copy that has never been restored is no backup. Both kinds have a manifest with size and sha256 of each
file, which are compared before anything is written.
"""
