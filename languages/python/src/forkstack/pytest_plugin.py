"""
A plugin for pytest: with `--forkstack`, a run of tests has an environment of its own, made before the first test and
deleted after the last one.

    pytest --forkstack            # forked from dev, named test-<random>
    pytest --forkstack-from alice
"""

import os
import subprocess
import uuid
from collections.abc import Iterator
from typing import Optional

import pytest

import forkstack

__all__ = ["forkstack_env"]


def pytest_addoption(parser: pytest.Parser) -> None:
    """The options of the command line."""
    group = parser.getgroup("forkstack")
    group.addoption("--forkstack", action="store_true", help="run the tests in an environment of their own")
    group.addoption("--forkstack-from", metavar="ENV", help="fork this environment instead of dev; implies --forkstack")


def _call(*args: str) -> None:
    program = forkstack._program()
    if program is None:
        raise pytest.UsageError("--forkstack needs the command `forkstack` in PATH")
    done = subprocess.run([program, *args], stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode != 0:
        raise pytest.UsageError(f"forkstack {' '.join(args)} ended with {done.returncode}:\n{done.stderr.strip()}")


def _wanted(config: pytest.Config) -> Optional[list[str]]:
    """The options of `forkstack new`; `None` where no environment is wanted."""
    parent = config.getoption("--forkstack-from")
    if parent:
        return ["--from", str(parent)]
    return [] if config.getoption("--forkstack") else None


@pytest.fixture(scope="session", autouse=True)
def forkstack_env(request: pytest.FixtureRequest) -> Iterator[Optional[str]]:
    """The name of the environment of this run; `None` without `--forkstack`."""
    options = _wanted(request.config)
    if options is None:
        yield None
        return
    worker = os.environ.get("PYTEST_XDIST_WORKER", "")  # each process of pytest-xdist has an environment of its own
    name = "-".join(part for part in ("test", worker, uuid.uuid4().hex[:8]) if part)
    _call("new", name, "--no-switch", "--ttl", "1d", *options)
    before = os.environ.get("FORKSTACK_ENV")
    os.environ["FORKSTACK_ENV"] = name
    forkstack._own = None  # what was read before is of another environment
    try:
        yield name
    finally:
        if before is None:
            del os.environ["FORKSTACK_ENV"]
        else:
            os.environ["FORKSTACK_ENV"] = before
        forkstack._own = None
        _call("delete", name, "--yes")
