"""Join tokens: one line of text that has all that a machine needs to join a run, and that nobody else may see."""

from __future__ import annotations

import base64
import json
import os
import re
import sys
from pathlib import Path

from attrs import frozen

from framework.errors import FrameworkError

#: The environment variable that may hold a token.
VARIABLE = "FRAMEWORK_JOIN"
_PREFIX = "fw1."
_SIZE_LIMIT = 16_384
_KEY = re.compile(r"[!-~]{40}")  # Z85


@frozen
class JoinToken:
    """What a token says. Its text is ``fw1.`` and base64url, which no shell takes for anything else."""

    name: str  #: of the join key
    run: str
    endpoints: tuple[str, ...]  #: where the learner may be reached, to be tried in turn
    server: str  #: the learner's public key, which tells it from others
    public: str
    secret: str

    def __str__(self) -> str:
        values = [self.name, self.run, list(self.endpoints), self.server, self.public, self.secret]
        return _PREFIX + base64.urlsafe_b64encode(json.dumps(values).encode()).decode().rstrip("=")

    def __repr__(self) -> str:
        return f"<join token {self.name} of {self.run}>"  # never the secret

    @classmethod
    def parse(cls, text: str) -> JoinToken:
        """The token in a text. Raises `FrameworkError`, without quoting it, where there is none."""
        text = text.strip()
        if not text.startswith(_PREFIX) or len(text) > _SIZE_LIMIT:
            raise FrameworkError(f"no join token: it must be one line that begins with {_PREFIX}")
        try:
            coded = text.removeprefix(_PREFIX)
            values = json.loads(base64.b64decode(coded + "=" * (-len(coded) % 4), altchars=b"-_", validate=True))
            name, run, endpoints, *keys = values
            if (
                isinstance(endpoints, list)
                and endpoints
                and all(isinstance(value, str) for value in (name, run, *endpoints, *keys))
                and len(keys) == 3
                and all(map(_KEY.fullmatch, keys))
                and all(endpoint.startswith(("tcp://", "ipc://")) for endpoint in endpoints)
            ):
                return cls(name, run, tuple(endpoints), *keys)
        except (ValueError, TypeError, RecursionError):
            pass
        raise FrameworkError("a damaged join token: copy the whole line again")

    @classmethod
    def read(cls, file: str | None) -> JoinToken:
        """The token in a file, in standard input (``-``), or without either in ``$FRAMEWORK_JOIN``."""
        if file is None:
            if VARIABLE not in os.environ:
                raise FrameworkError(f"name a join file: --join FILE, --join - for standard input, or set ${VARIABLE}")
            return cls.parse(os.environ[VARIABLE])
        if file == "-":
            return cls.parse(sys.stdin.readline(_SIZE_LIMIT + 1))  # which who has started us may leave open
        try:
            with Path(file).open(encoding="utf-8") as lines:
                return cls.parse(lines.read(_SIZE_LIMIT + 1))
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not text"
            raise FrameworkError(f"{file}: cannot be read: {reason}") from None
