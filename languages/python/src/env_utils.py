"""
The names of the first forkstack's `env_utils.py`, so that an application written for it keeps its imports. New code
imports `forkstack`.
"""

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

import forkstack

__all__ = [
    "EnvConfig",
    "get_all_secrets",
    "get_bucket_name",
    "get_current_env",
    "get_database_token",
    "get_database_url",
    "get_local_db_path",
    "get_s3_client",
    "get_s3_key",
    "get_secret",
    "set_secret",
]


def get_current_env() -> str:
    """The current environment's name, e.g. `"alice"`."""
    return forkstack.current_env()


def get_database_url() -> str:
    """The database's URL."""
    return forkstack.database_url()


def get_database_token() -> str:
    """The database's token; `""` if its provider has none."""
    return forkstack.database_auth_token() or ""


def get_bucket_name() -> str:
    """The bucket's name."""
    return forkstack.bucket_name()


def get_s3_client() -> Any:
    """A client of boto3 for the bucket."""
    import boto3

    return boto3.client("s3", **forkstack.storage_config())


def get_s3_key(resource_type: str, filename: str) -> str:
    """The key of a file, e.g. `"photos/abc123.jpg"`: each environment has a bucket, so it needs no prefix."""
    return f"{resource_type}/{filename}"


def get_local_db_path() -> Path:
    """The directory for databases in files."""
    return Path(forkstack.local_dir())


def get_secret(key: str) -> str:
    """One secret; `""` if nothing has it, as the first forkstack did. `forkstack.get_secret()` raises instead."""
    return str(forkstack.get_secret(key, ""))


def get_all_secrets() -> dict[str, str]:
    """All secrets of the environment."""
    return forkstack.all_secrets()


def set_secret(key: str, value: str) -> bool:
    """Sets a secret; `False` if it can't be set."""
    try:
        forkstack.set_secret(key, value)
    except forkstack.ForkstackError:
        return False
    return True


class EnvConfig(ABC):
    """The base class of an application's own configuration."""

    @abstractmethod
    def get_database_url(self) -> str:
        """The database's URL."""

    @abstractmethod
    def get_bucket_name(self) -> str:
        """The bucket's name."""

    @abstractmethod
    def get_secret(self, key: str) -> str:
        """One secret."""

    def get_s3_key(self, resource_type: str, filename: str) -> str:
        """The key of a file; see `get_s3_key()`."""
        return get_s3_key(resource_type, filename)
