"""Commands as another user, where the tests run as root."""

import os

NOBODY = 65534


def as_nobody(rights: str = "+dac_read_search") -> list[str]:
    """What precedes a command that `nobody` is to run; nothing if this user is not root.

    Root's own interpreter may lie where nobody else gets: the right to read goes along.
    """
    if os.getuid() != 0:
        return []
    user = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
    return [*user, f"--inh-caps={rights}", f"--ambient-caps={rights}"]
