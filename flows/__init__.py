"""What acts on the world: runs dvc.yaml under Prefect, promotes, retrains on schedule, tells people.

Why: stages only turn files into files; when, where, retries, locks and alerts are decided here.
"""
