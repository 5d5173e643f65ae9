"""Replaces secrets in a text before it is printed or stored.

Why: addresses contain passwords, and errors of libraries repeat addresses; both go to logs, to Prefect's and
MLflow's pages and to notices, whose readers must not get the secrets.
"""

from __future__ import annotations

import os
import re

MASK = "***"
SHORTEST = 8  # minimal length of an environment variable's value to be masked
# Variables with secret values; paths of files or sockets are not secret.
SECRET_NAME = re.compile(
    r"(TOKEN(?!I[SZ])|SECRET|PASSWORD|PASSWD|API_?KEY|ACCESS_KEY|AUTH_STRING|WEBHOOK|CREDENTIALS?)(?!.*(FILE|PATH|DIR))",
    re.I,
)
# Names of keys in a query end in one of these words: access_token, apiKey, X-Amz-Signature.
KEY_WORD = (
    r"(?i:(?:access|api|auth|bearer|client|private|refresh|secret|session|shared)*"
    r"(?:token|key|secret|passw(?:or)?d|passphrase|pwd|signature|sig|auth|credentials?)(?:[_.-]?(?:id|string))?)"
)
PATTERNS = (
    # Userinfo before a host, also with a slash in the password; `http://host:80/a@b` and paths with a double
    # slash have none.
    (re.compile(r"""((?<![^\s"'`=:;,|(\[{<>])//)[^\s/?#"'<>]*@"""), rf"\1{MASK}@"),
    (re.compile(r"(://)[^\s/@:?#]+:(?!\d+(?:[/?#\s]|$))[^\s@\"'<>]*@"), rf"\1{MASK}@"),
    # Keys and signatures in a query.
    (
        re.compile(rf"""([?&;](?:[\w.-]*(?:[_.-]|[a-z0-9](?=[A-Z])))?{KEY_WORD}=)[^&\s"'<>#]+"""),
        rf"\1{MASK}",
    ),
    # The header, also quoted in a dict or a pair; a first word of up to 16 characters is the scheme.
    (
        re.compile(
            r"""(authorization(?:[\s"'\\]{0,3}[:=][\s"'\\]{0,4}|["'],\s*)(?:b?["'])?"""
            r"""(?:[a-z][\w-]{0,15}[ \t]+)?)[^\s"',]+""",
            re.I,
        ),
        rf"\1{MASK}",
    ),
    # Paths of webhooks of chat services, and tokens with a known format.
    (
        re.compile(r"(//hooks\.slack\.com/|//discord(?:app)?\.com/api/webhooks/)[^\s\"'<>]+", re.I),
        rf"\1{MASK}",
    ),
    (re.compile(r"(//[\w.-]+\.(?:webhook\.office|logic\.azure)\.com[:\d]*/)[^\s\"'<>]+", re.I), rf"\1{MASK}"),
    (
        re.compile(
            r"\b(?:gh[pousr]_\w{20,}|github_pat_\w{20,}|glpat-[\w-]{16,}|hf_[A-Za-z]{20,}|xox[abeprs]-[\w-]{10,}"
            r"|pn[ub]_\w{20,}|(?:AKIA|ASIA)[0-9A-Z]{16})\b"
        ),
        MASK,
    ),
    (
        re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.S),
        MASK,
    ),
)


def mask(text: str) -> str:
    """The text with `***` for userinfo of addresses, keys in queries, tokens with a known format, and values
    of this process's secret environment variables. Idempotent."""
    for name, value in os.environ.items():
        if len(value) >= SHORTEST and SECRET_NAME.search(name):
            text = text.replace(value, MASK)
    for pattern, instead in PATTERNS:
        text = pattern.sub(instead, text)
    return text
