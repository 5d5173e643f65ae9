"""The team's servers: PostgreSQL, an S3 store, MLflow, Prefect and workers, on one host or in containers.

Why: `make services` and infra/compose.yaml start the same programs with the same settings, because both call
`python -m infra.services run NAME`; they differ in addresses and folders alone.
"""
