"""What is secret in a text is replaced before the text is printed or kept.

Why: addresses carry passwords, and errors of other libraries repeat addresses; both end in logs, on
Prefect's and MLflow's pages and in notices, which more people read than may use the secret.
"""

from __future__ import annotations

import os
import re

MASK = "***"
SHORTEST = 8  # characters of an environment variable's value that is searched for
# Variables whose value is secret; one that names a file or a socket is not.
SECRET_NAME = re.compile(
    r"(TOKEN(?!I[SZ])|SECRET|PASSWORD|PASSWD|API_?KEY|ACCESS_KEY|AUTH_STRING|WEBHOOK|CREDENTIALS?)(?!.*(FILE|PATH|DIR))",
    re.I,
)
# The name of a key in a query, which ends in one of these words: access_token, apiKey, X-Amz-Signature.
KEY_WORD = (
    r"(?i:(?:access|api|auth|bearer|client|private|refresh|secret|session|shared)*"
    r"(?:token|key|secret|passw(?:or)?d|passphrase|pwd|signature|sig|auth|credentials?)(?:[_.-]?(?:id|string))?)"
)
PATTERNS = (
    # Userinfo before a host, also where the password holds a slash; `http://host:80/a@b` has none, and
    # neither has a path with a doubled slash.
    (re.compile(r"""((?<![^\s"'`=:;,|(\[{<>])//)[^\s/?#"'<>]*@"""), rf"\1{MASK}@"),
    (re.compile(r"(://)[^\s/@:?#]+:(?!\d+(?:[/?#\s]|$))[^\s@\"'<>]*@"), rf"\1{MASK}@"),
    # Keys and signatures in a query.
    (
        re.compile(rf"""([?&;](?:[\w.-]*(?:[_.-]|[a-z0-9](?=[A-Z])))?{KEY_WORD}=)[^&\s"'<>#]+"""),
        rf"\1{MASK}",
    ),
    # The header, also quoted in a dict or a pair; a first word of up to 16 characters is its scheme.
    (
        re.compile(
            r"""(authorization(?:[\s"'\\]{0,3}[:=][\s"'\\]{0,4}|["'],\s*)(?:b?["'])?"""
            r"""(?:[a-z][\w-]{0,15}[ \t]+)?)[^\s"',]+""",
            re.I,
        ),
        rf"\1{MASK}",
    ),
    # The paths of chat services' webhooks, and tokens that are known by their form.
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
    """The text with `***` for userinfo of addresses, keys in their queries, tokens known by their form, and
    the values of this process's secret environment variables. Doing it twice changes nothing."""
    for name, value in os.environ.items():
        if len(value) >= SHORTEST and SECRET_NAME.search(name):
            text = text.replace(value, MASK)
    for pattern, instead in PATTERNS:
        text = pattern.sub(instead, text)
    return text
