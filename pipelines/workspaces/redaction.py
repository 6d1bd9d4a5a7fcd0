"""Removes secrets from what a command printed, before others read it."""

import os
import re
from collections.abc import Callable

from pipelines.errors import SECRET, without_password

NO_SECRET = re.compile(r"TOKENIZERS_\w+|\w+_(PATH|FILE|DIR)")
SHORTEST = 6  # `***` for each 1 would make a log unreadable


def redactor() -> Callable[[str], str]:
    """A function that returns its text without secrets.

    Those are the logins and tokens of addresses, and the values of this process's variables with
    the name of a secret, of at least 6 characters.
    """
    values = {
        value
        for key, value in os.environ.items()
        if SECRET.search(key) and not NO_SECRET.fullmatch(key) and len(value) >= SHORTEST
    }
    if not values:
        return without_password
    longest_first = sorted(values, key=len, reverse=True)
    secret = re.compile("|".join(map(re.escape, longest_first)))
    return lambda text: secret.sub("***", without_password(text))
