"""Texts without keys, tokens and passwords, wherever in them these stand."""

import re
from typing import Any

MASK = "***"

_NAMES = (
    r"cmc_?key|intrl_?key|sign_?key|authorization|access_?token|refresh_?token|api_?key|secret_?key|encryption_?key"
    r"|metrics_?token|password|passwd|pwd|cookie|sessionid|csrftoken"
)
# name, closing quote, separator, opening quote, value; quotes may be escaped any number of times
_NAMED = re.compile(
    rf"(?P<kept>(?:{_NAMES})\\*[\"']?\s*[:=,]\s*b?\\*[\"']?)(?:(?:Token|Bearer|Basic)\s+)?[^\s\"'\\,;&)\]}}]+",
    re.IGNORECASE,
)
_KEY = re.compile(r"rvp_[A-Za-z0-9]+_[A-Za-z0-9_-]+")
_SCHEME = re.compile(r"\b(Token|Bearer|Basic)\s+[A-Za-z0-9._~+/=-]{16,}")
_IN_URL = re.compile(r"([a-z][a-z0-9+.-]*://[^\s:/@\"']*):[^\s/@\"']+@", re.IGNORECASE)
_SECRET_NAME = re.compile(_NAMES, re.IGNORECASE)


def masked(text: str) -> str:
    """The text with everything masked that looks like a key, a token or a password."""
    text = _KEY.sub(f"rvp_{MASK}", text)
    text = _NAMED.sub(rf"\g<kept>{MASK}", text)
    text = _SCHEME.sub(rf"\1 {MASK}", text)
    return _IN_URL.sub(rf"\1:{MASK}@", text)


def masked_value(value: Any) -> Any:
    """The same for a value out of JSON: every text in it, and whatever stands under the name of a secret."""
    if isinstance(value, str):
        return masked(value)
    if isinstance(value, list):
        return [masked_value(one) for one in value]
    if isinstance(value, dict):
        return {name: MASK if _SECRET_NAME.fullmatch(name) else masked_value(one) for name, one in value.items()}
    return value
