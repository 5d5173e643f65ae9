"""The lease that SEQ2SEQ_LEASE names, on the Prefect server: one training at a time across hosts.

Why: a file lock ends at its host. The server's global concurrency limit `seq2seq-NAME` is held with a lease
that its holder renews: one that was killed, or whose machine died, frees it after EXPIRES seconds. Set the
limit higher on the server's page to let more than one train.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress

from flows.child import PrintLine
from seq2seq.common import lease
from seq2seq.common.errors import TransientError

EXPIRES = 60.0  # seconds, the shortest that Prefect allows
AT_ONCE = 5.0  # seconds in which a free lease is given


@contextmanager
def across_hosts(print_line: PrintLine) -> Iterator[None]:
    """Hold the named lease, if there is a name; raises TransientError if it is held and this may not wait.

    A server that is away does not end a training that has begun.
    """
    name = lease.named()
    if not name:
        yield
        return
    from prefect.concurrency.sync import concurrency

    limit = f"seq2seq-{name}"
    busy = _is_busy(limit)
    if busy:
        print_line(f"the lease {limit} is held ({busy}){': waiting for it' if lease.waits() else ''}")
    timeout = None if lease.waits() else AT_ONCE
    try:
        holding = concurrency(limit, timeout_seconds=timeout, lease_duration=EXPIRES, strict=True)
        holding.__enter__()
    except TimeoutError:
        raise TransientError(f"the lease {limit} is held ({busy}), and {lease.BUSY}=refuse") from None
    try:
        yield
    finally:
        holding.__exit__(None, None, None)


def _is_busy(limit: str) -> str:
    """How much of a limit is taken, if all of it is; makes a limit of 1 where there is none."""
    from prefect import get_client
    from prefect.client.schemas.actions import GlobalConcurrencyLimitCreate
    from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound

    with get_client(sync_client=True) as client:
        try:
            found = client.read_global_concurrency_limit_by_name(limit)
        except ObjectNotFound:
            with suppress(ObjectAlreadyExists):
                client.create_global_concurrency_limit(GlobalConcurrencyLimitCreate(name=limit, limit=1))
            return ""
    return f"{found.active_slots} of {found.limit}" if found.active_slots >= found.limit else ""
