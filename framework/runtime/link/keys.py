"""The keys of a run, in its directory: the learner's own, and who else may join.

CURVE (https://rfc.zeromq.org/spec/26) gives each side a pair of keys. Only the learner's secret key is kept here, in
``keys.json``, which its owner alone can read; that of a join key leaves with the token that it is made for.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import zmq
from attrs import evolve

from framework.errors import FrameworkError, RunError
from framework.runtime.link.token import JoinToken

FILE = "keys.json"
#: The name of the key that every listening run has, in the file ``join``.
FIRST = "join"


class Keys:
    """The keys of the run in ``directory``, made where ``create`` is true and there are none.

    Every method reads the file anew, as others write it too. Raises `RunError` where it is missing or damaged.
    """

    def __init__(self, directory: Path, *, create: bool = False):
        self.directory = directory.resolve()  # its name is the run's
        self._path = directory / FILE
        if create and not self._path.exists():
            public, secret = (key.decode() for key in zmq.curve_keypair())
            self._write({"public": public, "secret": secret, "endpoints": [], "clients": {}})
        self.server_public, self._server_secret = (self._read()[name] for name in ("public", "secret"))

    @property
    def server_pair(self) -> tuple[bytes, bytes]:
        """The learner's public and secret key."""
        return self.server_public.encode(), self._server_secret.encode()

    @property
    def stamp(self) -> int:
        """A number that changes whenever the file does."""
        return self._path.stat().st_mtime_ns

    @property
    def endpoints(self) -> list[str]:
        """Where the learner has listened last, first the addresses that are most likely to be reached."""
        return list(self._read()["endpoints"])

    def listening(self, endpoints: list[str]) -> Path | None:
        """Keep where the learner listens; returns the file with a token for it, if its key is not revoked."""
        with self._changing() as values:
            values["endpoints"] = endpoints
            first = values["clients"].get(FIRST, {})
            if first.get("revoked"):
                return None
            file = self.directory / FIRST
            try:
                token = evolve(JoinToken.read(str(file)), endpoints=tuple(endpoints))
                kept = token.public == first.get("public")
            except FrameworkError:
                kept = False
            if not kept:
                values["clients"].pop(FIRST, None)
        write_private(file, f"{token if kept else self.issue(FIRST)}\n")
        return file

    def issue(
        self, name: str = "", *, once: bool = False, expires: timedelta | None = None, endpoint: str | None = None
    ) -> JoinToken:
        """A new join key, and the token that has it.

        Args:
            name: of the key; by default ``join-2`` and so on. Raises `RunError` where it is taken, or where nobody
                knows an endpoint, as the learner has not listened yet.
            once: whether it is for one host only.
            expires: how long hosts may enter with it.
            endpoint: the learner's address as the host sees it, where that is another one.
        """
        public, secret = (key.decode() for key in zmq.curve_keypair())
        with self._changing() as values:
            clients = values["clients"]
            endpoints = [endpoint] if endpoint else values["endpoints"]
            if not endpoints:
                advice = "wait until it does, or tell where it will, with --at"
                raise RunError(f"{self.directory} has not listened yet: {advice}")
            if name in clients:
                raise RunError(f"{self.directory} has a join key named {name} already")
            name = name or next(free for n in range(2, len(clients) + 3) if (free := f"{FIRST}-{n}") not in clients)
            now = datetime.now(UTC)
            until = None if expires is None else (now + expires).isoformat()
            clients[name] = {"public": public, "created": now.isoformat(), "once": once, "expires": until}
        return JoinToken(name, self.directory.name, tuple(endpoints), self.server_public, public, secret)

    def revoke(self, name: str) -> None:
        """Let nobody enter with this key any more, and have those leave that did. Raises `RunError` for no key."""
        with self._changing() as values:
            if name not in values["clients"]:
                names = ", ".join(values["clients"])
                raise RunError(f"{self.directory} has no join key named {name}; it has: {names}")
            values["clients"][name]["revoked"] = True
        if name == FIRST:
            (self.directory / FIRST).unlink(missing_ok=True)

    def clients(self) -> dict[str, dict[str, Any]]:
        """What is known of each join key, by name."""
        clients: dict[str, dict[str, Any]] = self._read()["clients"]
        return clients

    def name_of(self, public: str) -> str | None:
        """The name of the join key with this public half; None where it may not be connected with."""
        for name, client in self.clients().items():
            if client["public"] == public and not client.get("revoked"):
                return name if not _expired(client) or client.get("holders") else None
        return None

    def admit(self, name: str, session: str) -> str | None:
        """Why a host with this session may not enter with a key; None where it may, which is then remembered."""
        with self._changing() as values:
            client = values["clients"].get(name, {"revoked": True})
            holders = client.setdefault("holders", [])
            reason = self._reason(name, client, session)
            if reason is None and session not in holders:
                client["holders"] = [*holders, session][-1024:]
        return reason

    def revoked(self, name: str, session: str) -> str | None:
        """Why a host that has entered with a key must leave; None where it may stay."""
        return self._reason(name, self.clients().get(name, {"revoked": True}), session)

    @staticmethod
    def _reason(name: str, client: Mapping[str, Any], session: str) -> str | None:
        holders = client.get("holders", [])
        if client.get("revoked"):
            return f"the join key {name} was revoked"
        if session in holders:
            return None  # who is in may come back
        if client["once"] and holders:
            return f"the join key {name} was for one host, and another has used it"
        if _expired(client):
            return f"the join key {name} has expired"
        return None

    def _read(self) -> dict[str, Any]:
        try:
            values: dict[str, Any] = json.loads(self._path.read_text())
            if {"public", "secret", "endpoints", "clients"} <= values.keys():
                return values
        except FileNotFoundError:
            advice = "start it, or resume it, with --listen HOST:PORT"
            raise RunError(f"{self.directory} does not listen for samplers of other machines: {advice}") from None
        except OSError as error:
            raise RunError(f"{self._path}: cannot be read: {error.strerror}") from None
        except (ValueError, AttributeError, RecursionError):
            pass
        raise RunError(f"{self._path}: damaged; remove it, resume the run, and hand out its new join file")

    @contextmanager
    def _changing(self) -> Iterator[dict[str, Any]]:
        """The values, written back where they have changed; nobody else changes them meanwhile."""
        with (self.directory / f".{FILE}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            values = self._read()
            before = json.dumps(values)
            yield values
            if json.dumps(values) != before:
                self._write(values)

    def _write(self, values: Mapping[str, Any]) -> None:
        write_private(self._path, json.dumps(values, indent=2) + "\n")


def write_private(path: Path, text: str) -> None:
    """Write a file that its owner alone can read, all of it or nothing. Raises `RunError` where it cannot be."""
    new = path.with_name(f".{path.name}.new")
    try:
        new.unlink(missing_ok=True)
        with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(text)
        new.replace(path)
    except OSError as error:
        raise RunError(f"{path}: cannot be written: {error.strerror}") from None


def _expired(client: Mapping[str, Any]) -> bool:
    until = client["expires"]
    return until is not None and datetime.fromisoformat(until) <= datetime.now(UTC)
