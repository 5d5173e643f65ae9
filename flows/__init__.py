"""Flows: run dvc.yaml under Prefect, promote, roll back, retrain on schedule, send alerts.

Why: stages only turn files into files; schedules, retries, locks and alerts are here.
"""
