"""What the objects of a run are called."""

from __future__ import annotations

import re
from hashlib import sha256

from attrs import frozen

#: Characters of `Names.instance`. The longest name is that of a pod, which has at most 63: the Job's and six more.
_LONGEST = 63 - len("-samplers") - len("-abcde")
_DIGEST = 8


@frozen
class Names:
    """The names of a run's objects, each a DNS-1123 label."""

    instance: str  #: what they have in common

    @classmethod
    def of(cls, run: str) -> Names:
        """Those of the run of this name; one that has to be changed gets a digest, so that no two become equal."""
        plain = re.sub("[^a-z0-9]+", "-", run.lower()).strip("-")
        if plain == run and len(run) <= _LONGEST:
            return cls(run)
        digest = sha256(run.encode()).hexdigest()[:_DIGEST]
        return cls("-".join(filter(None, (plain[: _LONGEST - _DIGEST - 1].rstrip("-"), digest))))

    @property
    def job(self) -> str:
        """Of the Job; Kubernetes calls each of its pods so too, with a hyphen and five more characters."""
        return f"{self.instance}-samplers"

    @property
    def secret(self) -> str:
        """Of the Secret that holds the join token."""
        return f"{self.instance}-join"
