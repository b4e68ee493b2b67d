"""
The current environment of forkstack, and the names and values of its database, bucket, secrets, cache, queue and local
directory. One file for Python 3.9 and later without dependencies, which may be copied; nothing is done on import.

    from forkstack import bucket_name, database_url, get_secret

A getter returns a value of the current environment or raises; it never returns another environment's value. The rules
are those of mod.ts, and the vectors in tests/vectors are passed by both.
"""

from __future__ import annotations

import os
import re
import sys
import time
from typing import Any, Callable, NamedTuple, Optional, TypeVar, Union

__all__ = [
    "ForkstackError",
    "Stack",
    "all_secrets",
    "bucket_name",
    "bucket_path",
    "cache_url",
    "current_env",
    "database_auth_token",
    "database_path",
    "database_url",
    "django_database",
    "get_secret",
    "load",
    "local_dir",
    "open_stack",
    "project_name",
    "queue_prefix",
    "queue_url",
    "set_secret",
    "sqlalchemy_url",
    "storage_config",
    "variable",
]

# ---- getters


def current_env() -> str:
    """
    The current environment: `FORKSTACK_ENV`, then `ENV` unless it holds a `/`, then `.current-env`, then `"dev"`, but
    in a linked git worktree.

    Raises ForkstackError: NAME_INVALID if that is not a legal name, ENV_UNSET in a linked git worktree that points to
    none, ENV_UNKNOWN if it was never made here or was deleted, ENV_CONFLICT if files or variables contradict each
    other.
    """
    return _stack().current()


def project_name() -> str:
    """The project's name, from forkstack.json or `FORKSTACK_PROJECT`."""
    return _stack().project


def database_url(name: str | None = None) -> str:
    """The database's URL, e.g. `"file:///app/.forkstack/sqlite/shop-alice.db"`."""
    return _stack().of("database", "DATABASE_URL", name)


def database_path(name: str | None = None) -> str:
    """The file of an SQLite database, e.g. `"/app/.forkstack/sqlite/shop-alice.db"`, for `sqlite3.connect()`."""
    return _stack().of("database", "DATABASE_PATH", name)


def database_auth_token(name: str | None = None) -> str | None:
    """The database's token, or `None` if its provider has none."""
    return _stack().optional_of("database", "DATABASE_AUTH_TOKEN", name)


def bucket_name(name: str | None = None) -> str:
    """The bucket's name, e.g. `"shop-bucket-alice"`."""
    return _stack().of("storage", "BUCKET_NAME", name)


def bucket_path(name: str | None = None) -> str:
    """The bucket's directory, if its provider is `local`."""
    return _stack().of("storage", "BUCKET_PATH", name)


def storage_config(name: str | None = None) -> dict[str, str]:
    """
    The settings of an S3 client as boto3 takes them: `boto3.client("s3", **storage_config())`. Those that the provider
    does not give are absent, and boto3 finds them its own way. A local bucket has none: `bucket_path()` has its files.
    """
    return _stack().storage(name)


def cache_url(name: str | None = None) -> str:
    """The cache's URL, e.g. `"rediss://..."`."""
    return _stack().of("cache", "CACHE_URL", name)


def queue_url(name: str | None = None) -> str:
    """The queue's URL."""
    return _stack().of("queue", "QUEUE_URL", name)


def queue_prefix(name: str | None = None) -> str:
    """The beginning of every queue name of this environment."""
    return _stack().of("queue", "QUEUE_PREFIX", name)


def local_dir(name: str | None = None) -> str:
    """The directory for databases in files, e.g. `"/app/shop.alice.db"`; the first call makes it if it can."""
    return _stack().local_dir(name)


def variable(name: str) -> str:
    """
    Any variable of the current environment by its full name, e.g. `"UPLOADS_BUCKET_NAME"`, or one of `variables` in
    forkstack.json.
    """
    return _stack().variable(name)


class _Missing:
    """The default of `get_secret()`, which stands for an error."""


def get_secret(key: str, default: Any = _Missing) -> Any:
    """
    One secret: in a deployment from the process environment; else from the environment's file, then from the provider,
    which is asked for all of them at once, and again after five minutes. Where no one has it, `default` is returned,
    and without a default SECRET_MISSING is raised.
    """
    return _stack().secret(key, default)


def all_secrets() -> dict[str, str]:
    """All secrets that the provider holds for the current environment."""
    return _stack().secrets()


def set_secret(key: str, value: str) -> None:
    """Sets a secret at the provider, through the command line `forkstack`."""
    _stack().set_secret(key, value)


def load() -> dict[str, str]:
    """
    Puts the variables of the current environment into `os.environ`, for libraries that read it themselves, and returns
    them. What is there already must be the same; another value is ENV_CONFLICT.
    """
    return _stack().load()


def sqlalchemy_url(name: str | None = None, driver: str | None = None) -> str:
    """
    The database's URL as SQLAlchemy takes it, e.g. `"sqlite:////app/.forkstack/sqlite/shop-alice.db"`. `driver` is the
    part after `+`, e.g. `"aiosqlite"`, `"psycopg"`, `"pymysql"`; without one the dialect's own default holds.
    """
    return _sqlalchemy_url(_stack(), name, driver)


def django_database(name: str | None = None) -> dict[str, Any]:
    """The database as an entry of Django's `DATABASES`: SQLite, PostgreSQL or MySQL."""
    return _django_database(database_url(name))


def open_stack(cwd: str | None = None, environ: dict[str, str] | None = None) -> Stack:
    """Opens the stack of a directory other than the process's own, or under other variables."""
    return Stack(cwd, environ)


_own: Stack | None = None


def _stack() -> Stack:
    """The process's own stack, opened once."""
    global _own
    if _own is None:
        _own = Stack()
    return _own


# ---- errors


class ForkstackError(Exception):
    """
    The one error class. `code` is stable, e.g. `"ENV_CONFLICT"`: compare it, never the message; docs/errors.md lists
    all. `hint` is the next step.
    """

    def __init__(self, code: str, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.args[0]} ({self.code})" + (f"; {self.hint}" if self.hint else "")


def _unusable(code: str, what: str, state: str, hint: str) -> ForkstackError:
    return ForkstackError(code, f"Cannot use {what}: {state}", hint)


# ---- the stack of a directory

_T = TypeVar("_T")
_Json = dict[str, Any]
_Value = Union[str, ForkstackError]
_Values = dict[str, _Value]
_SECRETS_MAX_AGE_S = 300


class Stack:
    """One environment's values; its methods are the getters of the same names, which use the process's own stack."""

    def __init__(self, cwd: str | None = None, environ: dict[str, str] | None = None) -> None:
        self._cwd = _without_end(os.getcwd() if cwd is None else cwd)
        self._environ: Any = os.environ if environ is None else environ
        env, deployment = self._raw("FORKSTACK_ENV"), self._raw("ENV")
        is_named = env is not None or _deployment_of(deployment) is not None
        # A deployment needs no files: its process environment holds it all.
        place = _attempt(lambda: _find_project(self._cwd)) if is_named else _find_project(self._cwd)
        self.root = place.root if place else None
        self._config = _read_config(place.config_root, self._cwd) if place and place.config_root else None
        self._facts: _Facts = {
            "process": {
                "env": env,
                "deployment": deployment,
                "project": self._variable("FORKSTACK_PROJECT"),
                "run": (self._raw("FORKSTACK_RUN") or "").split(" ")[0],
            },
            "project": self._config["project"] if self._config else None,
            "pointer": self._text(".current-env"),
            "isLinkedWorktree": place.is_linked if place else False,
        }
        way = _decide(self._facts)
        self._env = way.env
        self.decided_by = way.decided_by
        self._known: dict[str, Any] = {}
        self._secrets: tuple[float, dict[str, str]] | None = None

    @property
    def env(self) -> str:
        """The current environment before the guard has looked at it."""
        return self.current() if self._env is None else self._env

    def current(self) -> str:
        """The current environment, if the guard agrees; see `current_env()`."""
        return self._once("#current", lambda: _guard(self._written.facts).env)

    @property
    def project(self) -> str:
        """The project's name."""
        name = self._facts.get("project") or self._facts["process"]["project"]
        name = name or _text_in(self._written.own, "FORKSTACK_PROJECT")
        if name:
            return name
        hint = 'Create forkstack.json with {"project": "myapp"}, or set FORKSTACK_PROJECT'
        raise ForkstackError("CONFIG_MISSING", "Cannot name the project: no forkstack.json was found", hint)

    @property
    def state_root(self) -> str | None:
        """The directory that holds `.forkstack/`; `None` without a project directory."""
        return self._once("#state root", lambda: self._state_of(self.root) if self.root else None)

    def _state_of(self, root: str) -> str:
        chosen = _chosen_state(self._variable("FORKSTACK_STATE"), [self.root or "", self._cwd])
        return chosen or _state_root(root)

    def _resource(self, kind: str, name: str | None) -> _Declared | None:
        if self._config is None:
            return None if name is None else _Declared(kind, name, "", {})
        all_ = [one for one in _declared_resources(self._config) if one.kind == kind]
        found = all_ if name is None else [one for one in all_ if one.name == name]
        if len(found) == 1 or (name is None and not all_):
            return found[0] if found else None
        choices = ", ".join(f'"{one.name}"' for one in all_) or "none"
        if name is None:
            raise ValueError(f"There is more than one {kind}: name one of {choices}")
        raise ValueError(f'forkstack.json has no {kind} "{name}", but {choices}')

    def _named(self, kind: str, variable_: str, name: str | None) -> str:
        one = self._resource(kind, name)
        return _variable_prefix(one.name if one else None) + variable_

    def of(self, kind: str, variable_: str, name: str | None = None) -> str:
        """A variable of one resource, e.g. `of("storage", "BUCKET_NAME", "uploads")`; VALUE_MISSING without one."""
        value = self.optional_of(kind, variable_, name)
        if value is None:
            raise self._missing(self._named(kind, variable_, name))
        return value

    def optional_of(self, kind: str, variable_: str, name: str | None = None) -> str | None:
        """A variable of one resource; `None` if nothing gives a value."""
        key = variable_ if name is None else f"{name} {variable_}"
        return self._once(key, lambda: self._find(self._named(kind, variable_, name)))

    def variable(self, name: str) -> str:
        """Any variable of this environment; see `variable()`."""
        value = self._once(f"#variable {name}", lambda: self._find(name))
        if value is None:
            raise self._missing(name)
        return value

    def _missing(self, name: str) -> ForkstackError:
        hint = f"Run `forkstack switch {self.env}`; in a deployment set the variable beside FORKSTACK_ENV"
        return _guard_error("VALUE_MISSING", self._facts, f"read {name}", "nothing gives a value", hint)

    def storage(self, name: str | None = None) -> dict[str, str]:
        """The settings of an S3 client; see `storage_config()`."""
        self.of("storage", "BUCKET_NAME", name)
        given = {field: self.optional_of("storage", one, name) for field, one in _BOTO3.items()}
        return {field: value for field, value in given.items() if value is not None}

    def local_dir(self, name: str | None = None) -> str:
        """The directory for databases in files; see `local_dir()`."""
        path = self.of("local", "LOCAL_PATH", name)
        if path == self._written.places.get(self._named("local", "LOCAL_PATH", name)):
            try:
                os.mkdir(path, 0o700)
            except OSError:  # it is there, or whoever writes there is told
                pass
        return path

    def secret(self, key: str, default: Any = _Missing) -> Any:
        """One secret; see `get_secret()`."""
        self.current()  # first: the secrets of an environment in doubt are asked of nobody
        own = self._written.own or {}
        guarded = _attempt(lambda: self._guarded(key))  # a value of the process may agree with the provider's alone
        is_there = key in own or (guarded is not None and guarded.source == "process")
        value = self._find(key, None if is_there else self._provided().get(key))
        if value:  # an empty one counts as unset, as a variable does
            return value
        if default is not _Missing:
            return default
        hint = f"Set it with `forkstack secrets set {key}`, or pass a default"
        raise _guard_error("SECRET_MISSING", self._facts, f'read secret "{key}"', "it is not set", hint)

    def secrets(self) -> dict[str, str]:
        """All secrets of this environment; see `all_secrets()`."""
        self.current()
        return {key: self._find(key, value) or "" for key, value in self._provided().items()}

    def set_secret(self, key: str, value: str) -> None:
        """Sets one secret; see `set_secret()`."""
        if not re.fullmatch("[A-Za-z_][A-Za-z0-9_]*", key):
            raise ValueError(f'A secret\'s key must be like "API_KEY", not "{key}"')
        env = self.current()
        if self._resource("secrets", None) is None:
            hint = 'Add "secrets": {"provider": "env-file"} to forkstack.json'
            raise ForkstackError("CONFIG_MISSING", "Cannot set a secret: no forkstack.json declares where", hint)
        # One end of a line is the shell's.
        self._command("set a secret", ["secrets", "set", key, env, "--yes"], f"{value}\r\n")
        self._secrets = None

    def load(self) -> dict[str, str]:
        """Puts the variables into the process's own environment; see `load()`."""
        self.current()
        names = [*(self._written.own or {}), *self._written.places, *_templates_of(self._config)]
        found = {name: self._find(name) for name in names if not name.startswith("FORKSTACK_")}
        values = {name: value for name, value in found.items() if value is not None}
        os.environ.update(values)
        return values

    def _once(self, key: str, make: Callable[[], _T]) -> _T:
        if key not in self._known:
            self._known[key] = make()
        value: _T = self._known[key]
        return value

    def _find(self, name: str, provided: str | None = None) -> str | None:
        guarded = self._guarded(name, provided)
        place = self._written.places.get(re.sub("DATABASE_URL$", "DATABASE_PATH", name))
        if guarded.source == "derived" and place is not None:
            _assert_state(self.state_root or "", place, self._cwd)
        return _whole(guarded.value)

    def _guarded(self, name: str, provided: str | None = None) -> _Guarded:
        written = self._written
        template = _templates_of(self._config).get(name)
        derived = written.places.get(name) if template is None else self._filled(template)
        is_place = template is not None or name in written.places
        candidates: _Candidates = {
            "process": self._variable(name) or self._path_in_process(name),
            "isVouched": name in (self._variable("FORKSTACK_RUN") or "").split(" ")[1:],
            "file": (written.own or {}).get(name),
            "block": (written.block or {}).get(name),
            "derived": derived if is_place else self._bucket_name(name),
            "isPlace": is_place,
            "provided": provided,
            "person": None if template is not None or self._is_given(name) else written.person.get(name),
        }
        return _guard(written.facts, name, candidates)

    def _path_in_process(self, name: str) -> str | None:
        """The file in the database's URL that a process has, as that of a deployment may alone."""
        if not name.endswith("DATABASE_PATH"):
            return None
        url = self._variable(re.sub("PATH$", "URL", name)) or ""
        found = re.match(r"file:(?://(?:localhost)?(?=/))?([^?#]+)", url)
        return _path_of(found.group()) if found else None

    def _filled(self, template: str) -> str | None:
        templates = _templates_of(self._config)

        def value_of(name: str) -> str | None:
            if name == "FORKSTACK_ENV":
                return self.env
            if name == "FORKSTACK_PROJECT":
                return self.project
            return None if name in templates else self._find(name)

        return _fill_template(template, value_of)

    @property
    def _written(self) -> _Written:
        return self._once("#written", self._read_files)

    def _read_files(self) -> _Written:
        """The variables in the files of this environment and a person, those derived, and the facts that follow."""
        config, env = self._config or {}, self._env
        env_file = _env_file_of(config)
        shared = _read_shared_file((env_file and self._text(env_file)) or "", env_file or ".env.local")
        path = self._state("envs", f"{env}.env") if self.root and env else None
        text = _read_text(path) if path else None
        own = None if text is None or path is None else _read_env_file(text, f'"{path}"')
        pointer = self._facts["pointer"]

        def has_state() -> bool:  # asked only when it decides: it may have to list thousands of files
            return self.root is not None and self._once("#has state", finds_state)

        def finds_state() -> bool:
            if own is not None or _look(self._state("registry.db")) is not None:
                return True
            return any(name.endswith(".env") for name in _names_in(self._state("envs")))

        is_elsewhere = shared.directory is not None and shared.directory != self.root and pointer is not None
        facts = _LazyFacts(
            {
                **self._facts,
                "envFile": env_file,
                "block": _said_by(shared.block),
                "file": _said_by(own),
                "person": {
                    "env": _text_in(shared.person, "FORKSTACK_ENV"),
                    "deployment": _text_in(shared.person, "ENV"),
                },
                "isPointerCopied": is_elsewhere and self._is_copied(shared.directory or "", has_state()),
            },
            has_state,
        )
        derived = _derived_variables(config, self.state_root or "", env, self.root or "") if config and env else {}
        return _Written(own, shared.block, shared.person, facts, derived)

    def _is_copied(self, origin: str, is_state_here: bool) -> bool:
        """Tells whether the pointer was written for another directory that still has it and has the same state."""

        def is_held() -> bool:
            if _is_same_place(origin, self.root or ""):
                return False
            if is_state_here and not _is_same_place(self._state_of(origin), self.state_root or ""):
                return False  # its state came along
            return _look(_join(origin, ".current-env"), os.lstat) is not None  # else moved, or mounted elsewhere

        held = _attempt(is_held)
        return self.state_root != self.root if held is None else held

    def _is_given(self, name: str) -> bool:
        """Tells whether a resource gives a variable: a person's own line is then not read."""
        for one in _declared_resources(self._config or {}):
            kind, prefix = _KINDS[one.kind], _variable_prefix(one.name)
            if name in {prefix + given for given in kind.variables}:
                return True
            if kind.namespace is not None and name.startswith(prefix + kind.namespace):
                return True
        return False

    def _state(self, *names: str) -> str:
        """A path in `.forkstack/`, if it is this checkout's and this user's."""
        root = self.state_root or ""
        path = _join(root, ".forkstack", *names)
        _assert_state(root, path, self._cwd)
        return path

    def _text(self, file: str) -> str | None:
        """The text of a file in the root. A link may lead to another checkout's pointer, so that must be none."""
        if self.root is None:
            return None
        path = _join(self.root, file)
        _assert_owned(path, self._cwd, file != ".current-env")
        return _read_text(path)

    def _variable(self, name: str) -> str | None:
        return self._raw(name) or None

    def _raw(self, name: str) -> str | None:
        value: str | None = self._environ.get(name)
        return value

    def _bucket_name(self, name: str) -> str | None:
        """The name of a bucket, which follows from the variable's own name if there is no forkstack.json."""
        if not name.endswith("BUCKET_NAME"):
            return None
        own = re.sub("_?BUCKET_NAME$", "", name).lower().replace("_", "-") or None
        unread = [_Declared("storage", own, "", {})]
        for one in unread if self._config is None else _declared_resources(self._config):
            if one.kind == "storage" and f"{_variable_prefix(one.name)}BUCKET_NAME" == name:
                return _attempt(lambda: _declared_title(one, self.project, self.env))
        return None

    def _provided(self) -> dict[str, str]:
        """The provider's answers, none older than five minutes."""
        now = time.monotonic()
        if self._secrets is None or now >= self._secrets[0]:
            self._secrets = (now + _SECRETS_MAX_AGE_S, self._ask_provider())
        return self._secrets[1]

    def _ask_provider(self) -> dict[str, str]:
        one = self._resource("secrets", None)
        if one is None:
            return {}
        if one.provider == "env-file":
            path = self.of("secrets", "SECRETS_FILE")
            return _parse_secrets_file(_read_text(path) or "", f'"{path}"')
        data = self._command("read the secrets", ["secrets", "list", self.env, "--reveal"])
        return {one["key"]: one["value"] for one in data["secrets"]}

    def _command(self, what: str, args: list[str], text: str = "") -> _Json:
        """What the command line answers, which alone speaks with vendors and writes."""
        import json
        import subprocess

        program = _program()
        if program is None:
            hint = "Install forkstack so that it is in PATH, or set the secrets in the process"
            raise _guard_error("PROVIDER_MISSING", self._facts, what, "there is no `forkstack` in PATH", hint)
        environ = {**os.environ, **self._environ}
        line = [program, *args, "--json"]
        done = subprocess.run(line, cwd=self._cwd, env=environ, input=text.encode(), capture_output=True)
        answer: _Json = _attempt(lambda: json.loads(done.stdout)) or {}
        if answer.get("ok"):
            data: _Json = answer["data"]
            return data
        error = answer.get("error") or {}
        message = error.get("message") or f"Cannot {what}: `forkstack` ended with {done.returncode}"
        raise ForkstackError(error.get("code") or "PROVIDER_MISSING", message, error.get("hint") or "")


def _program() -> str | None:
    """The command line: the one beside this Python, where a wheel puts it, else the one in PATH."""
    import shutil
    import sysconfig

    return shutil.which("forkstack", path=sysconfig.get_path("scripts")) or shutil.which("forkstack")


# ---- names


class _Kind(NamedTuple):
    variables: tuple[str, ...]  # that its providers give, without `_variable_prefix()`
    title: Callable[[list[str], str], str]
    namespace: str | None = None  # the beginning of all that its clients read
    embedded: tuple[str, str] | None = None  # the provider without a server, and its path under the state's root


def _joined(names: list[str], env: str) -> str:
    return "-".join(names if env == "prod" else [*names, env])


_KINDS: dict[str, _Kind] = {
    "database": _Kind(
        ("DATABASE_URL", "DATABASE_AUTH_TOKEN", "DATABASE_PATH"), _joined, None, ("sqlite", ".forkstack/sqlite/{}.db")
    ),
    "storage": _Kind(
        ("BUCKET_NAME", "BUCKET_PATH"),
        lambda names, env: f"{'-'.join(names)}-bucket-{env}",
        "AWS_",
        ("local", ".forkstack/buckets/{}"),
    ),
    "secrets": _Kind(
        ("SECRETS_FILE",),
        lambda names, env: "-".join([*names[1:], env]),
        None,
        ("env-file", ".forkstack/secrets/{}.env"),
    ),
    "cache": _Kind(("CACHE_URL", "REDIS_URL", "CACHE_PREFIX"), _joined),
    "queue": _Kind(("QUEUE_URL", "QUEUE_PREFIX"), _joined),
    "local": _Kind(("LOCAL_PATH",), lambda names, env: f"{'.'.join([*names, env])}.db", None, ("directory", "{}")),
}

_BOTO3 = {
    "endpoint_url": "AWS_ENDPOINT_URL_S3",
    "region_name": "AWS_REGION",
    "aws_access_key_id": "AWS_ACCESS_KEY_ID",
    "aws_secret_access_key": "AWS_SECRET_ACCESS_KEY",
    "aws_session_token": "AWS_SESSION_TOKEN",
}

_MAX_NAME_LENGTH = 63
_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?\Z")
_ALIASES = {"production": "prod", "development": "dev"}


def _is_name(value: object) -> bool:
    return isinstance(value, str) and len(value) <= _MAX_NAME_LENGTH and _NAME.match(value) is not None


def _parse_env_name(value: str, source: str) -> str:
    name = _ALIASES.get(value, value)
    if _is_name(name):
        return name
    shown = f"{value[:40]}..." if len(value) > 40 else value
    rule = f'it must be 1 to {_MAX_NAME_LENGTH} characters of a-z, 0-9 and "-" inside'
    raise _unusable("NAME_INVALID", f'"{shown}" as {source}', rule, 'Names look like "alice" or "pr-42"')


def _deployment_of(value: str | None) -> str | None:
    """The environment that a process's `ENV` names. With a `/` it names none: POSIX shells keep a path there."""
    return None if value is None or "/" in value else value


class _Declared(NamedTuple):
    kind: str  # e.g. `"storage"`
    name: str | None  # e.g. `"uploads"`, if its kind is a map of named ones
    provider: str  # e.g. `"tigris"`
    options: _Json  # the whole of its entry


def _is_embedded(one: _Declared) -> bool:
    embedded = _KINDS[one.kind].embedded
    return embedded is not None and embedded[0] == one.provider


def _title(one: _Declared, project: str, env: str) -> str:
    """The name of a resource at its vendor, derived so that it needs no state, e.g. `"shop-uploads-bucket-alice"`."""
    return _KINDS[one.kind].title([project] if one.name is None else [project, one.name], env)


def _base_of(one: _Declared, env: str) -> str | None:
    """The name or path of a base environment's resource that its `bases` has."""
    bases = one.options.get("bases")
    value = bases.get(env) if env in ("dev", "prod") and isinstance(bases, dict) else None
    if value is None or (isinstance(value, str) and value != ""):
        return value
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return str(value)
    state = f'"bases" of "{one.kind}" has no name of "{env}"'
    raise _unusable("CONFIG_INVALID", "forkstack.json", state, "Write a text")


def _declared_title(one: _Declared, project: str, env: str) -> str:
    return (None if _is_embedded(one) else _base_of(one, env)) or _title(one, project, env)


def _variable_prefix(name: str | None) -> str:
    """The prefix of a named resource's variables: `UPLOADS_` for `uploads`, nothing for an unnamed one."""
    return "" if name is None else name.upper().replace("-", "_") + "_"


# ---- forkstack.json


def _declared_resources(config: _Json) -> list[_Declared]:
    """The resources that a forkstack.json declares, or else the embedded ones."""
    is_embedded = all(config.get(kind) is None for kind in _KINDS)
    found: list[_Declared] = []
    for kind, facts in _KINDS.items():
        own: Any = {"provider": facts.embedded[0]} if facts.embedded else None
        value = own if is_embedded else config.get(kind)
        if value is None:
            continue
        is_map = isinstance(value, dict) and not isinstance(value.get("provider"), str)
        for name, entry in value.items() if is_map else [(None, value)]:
            provider = entry.get("provider") if isinstance(entry, dict) else None
            if not isinstance(provider, str):
                hint = 'Write {"provider": "..."}, or a map of those by name'
                raise _unusable("CONFIG_INVALID", "forkstack.json", f'"{kind}" names no provider', hint)
            found.append(_Declared(kind, name, provider, entry))
    return found


_ENV_FILE = re.compile(r"(?:[\w@-][\w.@-]*/)*(?:\.env(?:\.[\w.-]+)?|\w[\w.-]*\.env)\Z", re.ASCII)


def _env_file_of(config: _Json) -> str | None:
    """The env file of the project that holds forkstack's block, if one may."""
    name = config.get("envFile", ".env.local")
    if name is False:
        return None
    if isinstance(name, str) and _ENV_FILE.match(name):
        return name
    hint = 'Write a name like ".env", or false for none'
    raise _unusable("CONFIG_INVALID", "forkstack.json", '"envFile" names no env file of the project', hint)


def _read_config(directory: str, cwd: str) -> _Json:
    import json

    path = _join(directory, "forkstack.json")
    if directory != cwd:
        _assert_owned(path, cwd)
    try:
        config = json.loads(_read_text(path) or "")
    except ValueError as cause:
        hint = "`forkstack status` names the line and column"
        raise ForkstackError("CONFIG_INVALID", f"Cannot read {path}: it is not valid JSON", hint) from cause
    if isinstance(config, dict) and _is_name(config.get("project")):
        return config
    hint = "`forkstack status` names every problem in it"
    raise _unusable("CONFIG_INVALID", path, '"project" must be a name like "myapp"', hint)


def _derived_variables(config: _Json, state: str, env: str, root: str) -> dict[str, str]:
    """Variables that follow from forkstack.json and its and the state's place alone: those of embedded providers."""
    found: dict[str, str] = {}
    for one in filter(_is_embedded, _declared_resources(config)):
        title = _title(one, config["project"], env)
        path = _base_path(one, env, root) or _join(state, (_KINDS[one.kind].embedded or ("", ""))[1].format(title))
        for given in _KINDS[one.kind].variables:
            value = {"DATABASE_URL": _file_url(path), "BUCKET_NAME": title, "DATABASE_AUTH_TOKEN": None}.get(
                given, path
            )
            if value is not None:
                found[_variable_prefix(one.name) + given] = value
    return found


def _templates_of(config: _Json | None) -> dict[str, str]:
    """The templates of `variables` in forkstack.json, by the variable that each shapes."""
    found = (config or {}).get("variables")
    return {name: one for name, one in found.items() if isinstance(one, str)} if isinstance(found, dict) else {}


_TEMPLATE_PART = re.compile(r"\{\{|\}\}|\{([A-Za-z_]\w*)(?:\|(\w+))?\}|[{}]", re.ASCII)
_TEMPLATE_FORMS: dict[str | None, Callable[[str], str]] = {
    None: lambda value: value,
    "url": lambda path: _file_url(path)[len("file://") :],
    "rest": lambda url: re.sub(r"\A[A-Za-z][A-Za-z0-9+.-]*://", "", url),
}


def _fill_template(template: str, value_of: Callable[[str], str | None]) -> str | None:
    """A template with values in place of its placeholders; `None` if one is missing."""
    missing: list[str] = []

    def fill(part: re.Match[str]) -> str:
        name, form = part.groups()
        if name is None:
            return part.group()[0]
        value, shape = value_of(name), _TEMPLATE_FORMS.get(form)
        if value is None or shape is None:
            missing.append(name)
            return ""
        return shape(value)

    text = _TEMPLATE_PART.sub(fill, template)
    return None if missing else text


def _base_path(one: _Declared, env: str, root: str) -> str | None:
    """The absolute path in a base environment of an embedded resource, if its `bases` has one."""
    path = _base_of(one, env)
    return None if path is None else _without_end(os.path.normpath(os.path.join(_main_root(root), path)))


# ---- directories


class _Checkout(NamedTuple):
    top: str
    is_linked: bool
    is_bare: bool = False
    main: str | None = None  # the main worktree of a linked one, or its common git directory if that is bare


class _Project(NamedTuple):
    root: str  # where `.current-env` is
    config_root: str | None  # where forkstack.json is
    is_linked: bool


def _find_upwards(start: str, file: str, top: str | None = None) -> str | None:
    at = _without_end(start)
    while True:
        if _look(_join(at, file)) is not None:
            return at
        if at == top or os.path.dirname(at) == at:
            return None
        at = os.path.dirname(at)


def _checkout_of(directory: str) -> _Checkout | None:
    top = _attempt(lambda: _find_upwards(directory, ".git"))
    if top is None or not _is_owned(_join(top, ".git"), directory):
        return None
    if os.path.isdir(_join(top, ".git")):
        return _Checkout(top, False)
    is_linked, common = _read_git_file(top)
    if common is None:
        return _Checkout(top, is_linked)
    # With extensions.worktreeConfig, git keeps `bare` in a file of its own: https://git-scm.com/docs/git-worktree
    texts = [_read_text(_join(common, name)) or "" for name in ("config", "config.worktree")]
    is_bare = any(re.search(r"^\s*bare\s*=\s*true\s*$", text, re.IGNORECASE | re.MULTILINE) for text in texts)
    main = os.path.dirname(common) if os.path.basename(common) == ".git" else None
    return _Checkout(top, is_linked, is_bare, common if is_bare else main)


def _read_git_file(top: str) -> tuple[bool, str | None]:
    """Whether a checkout's `.git` file is that of a worktree, and the git directory of the repository that lists it."""
    named = re.search(r"^gitdir: (.+)$", _read_text(_join(top, ".git")) or "", re.MULTILINE)
    git_dir = _resolved(top, named.group(1).rstrip("\r") if named else "")
    shared = _read_text(_join(git_dir, "commondir")) if named else None
    if shared is None:  # a submodule, or a worktree whose repository was moved away
        return os.path.basename(os.path.dirname(git_dir)) == "worktrees" and _look(git_dir) is None, None
    common = _resolved(git_dir, shared.strip())
    # Anybody can write a `.git` file. Only the repository's own list says that this one belongs to it:
    # https://git-scm.com/docs/gitrepository-layout (worktrees/<id>/gitdir)
    listed = _resolved(git_dir, (_read_text(_join(git_dir, "gitdir")) or "").strip())
    is_listed = (
        os.path.basename(listed) == ".git"
        and _is_same_place(os.path.dirname(listed), top)
        and _is_same_place(os.path.dirname(os.path.realpath(git_dir)), _join(common, "worktrees"))
    )
    return True, common if is_listed else None


def _state_root(root: str) -> str:
    """The directory of `.forkstack/`: a linked worktree's is the main one's, or a bare repository's own."""
    checkout = _checkout_of(root)
    if checkout is None or checkout.main is None:
        return root
    below = os.path.relpath(os.path.realpath(root), os.path.realpath(checkout.top))
    if below == ".":
        return checkout.main
    return _join(checkout.main, ".forkstack", "projects", below) if checkout.is_bare else _join(checkout.main, below)


def _main_root(root: str) -> str:
    """The project's directory in the main worktree, which has the data; its own in a bare layout."""
    checkout = _checkout_of(root)
    return root if checkout is not None and checkout.is_bare else _state_root(root)


def _find_project(cwd: str) -> _Project | None:
    checkout = _checkout_of(cwd)
    top, is_linked = (checkout.top, checkout.is_linked) if checkout else (None, False)
    own = _find_upwards(cwd, "forkstack.json", top)
    if own is not None:
        return _Project(own, own, is_linked)
    if checkout is not None and checkout.main is not None and not checkout.is_bare:
        like = checkout.main + cwd[len(checkout.top) :]
        config_root = _find_upwards(like, "forkstack.json", checkout.main)
        if config_root is not None:
            return _Project(checkout.top + config_root[len(checkout.main) :], config_root, is_linked)
    root = _find_upwards(cwd, ".current-env", top)
    return None if root is None else _Project(root, None, is_linked)


# Env files that runtimes load into the process: https://bun.com/docs/runtime/env
_LOADED = [f".env{mode}{end}" for mode in ("", ".production", ".development", ".test") for end in ("", ".local")]
_SETS_STATE = re.compile(r"^[ \t]*(?:export[ \t]+)?FORKSTACK_STATE[ \t]*[=:]", re.MULTILINE)


def _chosen_state(path: str | None, directories: list[str]) -> str | None:
    """The user's choice of a directory for `.forkstack/`, which env files in `directories` may not make."""
    if path is None:
        return None
    for file in (_join(directory, name) for directory in directories for name in _LOADED):
        text: str | None = _attempt(lambda: _read_text(file))
        if _SETS_STATE.search(text or ""):
            hint = "Remove the line: the user chooses where the state is, in the shell, and no file of a project does"
            raise _unusable("NOT_PERMITTED", "FORKSTACK_STATE", f'"{file}" sets it', hint)
    if os.path.isabs(path):
        return _without_end(_join(path))
    hint = 'Set it to a path like "/home/alice/.local/state/shop", or unset it'
    raise _unusable("VALUE_INVALID", "FORKSTACK_STATE", f'"{path}" is no absolute path', hint)


def _is_owned(path: str, cwd: str) -> bool:
    """Tells whether this user, root or the owner of the working directory owns a path, or nothing is there."""
    found = _look(path, os.lstat)
    if found is None or found.st_uid == 0 or not hasattr(os, "getuid"):
        return True
    here = _look(cwd)
    return found.st_uid == os.getuid() or (here is not None and found.st_uid == here.st_uid)


def _assert_owned(path: str, cwd: str | None, may_be_link: bool = True) -> None:
    shown = f'"{path}"'
    if not may_be_link and os.path.islink(path):
        raise _unusable("NOT_PERMITTED", shown, "it is a link", "Remove it, or put what it leads to in its place")
    if cwd is not None and not _is_owned(path, cwd):
        hint = "Remove it, make it yours with chown"
        raise _unusable("NOT_PERMITTED", shown, "another user owns it", hint)


def _assert_state(root: str, path: str, cwd: str) -> None:
    """Raises NOT_PERMITTED if another user owns the `.forkstack/` of a path, or a link is at or in it."""
    names = path[len(_join(root, "/")) :].split("/")
    if names[0] != ".forkstack":
        return
    at = root
    for name in names:
        at = _join(at, name)
        _assert_owned(at, cwd if name == ".forkstack" else None, False)


# ---- env files


class _Shared(NamedTuple):
    block: _Values | None  # forkstack's part
    person: _Values  # all other lines
    directory: str | None  # that the block was written for


# One assignment: name, space, the value in single, double (whole, or up to a quote that does not end it) or back
# quotes, or bare, and what follows on the line.
_ASSIGNMENT = re.compile(
    r"(?<![^\r\n])[ \t]*(?:export[ \t]+)?([\w.-]+)[ \t]*=([ \t]*)"
    r"(?:'([^']*)'"
    r'|"([^"\\]*(?:\\[\s\S][^"\\]*)*)"(?=[ \t\r]*(?:#[^\n]*)?(?![^\n]))'
    r'|"([^"]*)"|`([^`]*)`|([^\n]*))([^\n]*)\n?',
    re.ASCII,
)
_MARKER = re.compile(r"(?<![^\r\n])[ \t]*#[ \t]*(?:>>>|<<<)[ \t]*forkstack[^\r\n]*(?:\r?\n)?")
_BEGIN = re.compile(r"# >>> forkstack (\{.*\})[ \t\r\n]*\Z")
_END = re.compile(r"# <<< forkstack[ \t\r\n]*\Z")
_FORMAT_0_1_0 = re.compile(
    r"(FORKSTACK_ENV='[^'\r\n]*'\r?\nFORKSTACK_PROJECT='[^'\r\n]*'(?:\r?\n|\Z)[\s\S]*?)"
    r"(?:(?<=\n)# yours, kept\r?(?:\n|\Z)|\Z)"
)
_ENCODED = "forkstack-uri:"  # the beginning of a value, percent-encoded, that an env file can't hold as it is


def _read_env_file(text: str, name: str) -> _Values:
    """The values in the text of an env file, each whole or an error: nobody may ask for those."""
    lines = re.sub("\r\n?", "\n", text[1:] if text.startswith("\ufeff") else text)
    return {match.group(1): _value_of(match, name) for match in _ASSIGNMENT.finditer(lines)}


def _whole(value: _Value | None) -> str | None:
    if isinstance(value, ForkstackError):
        raise value
    return value


def _text_in(file: _Values | None, name: str) -> str | None:
    value = (file or {}).get(name)
    return value if isinstance(value, str) else None


def _value_of(match: Any, file: str) -> _Value:
    name, space, single, double, cut, back, bare, rest = match.groups()
    value: str
    bare = bare or ""
    text = space + bare
    plain = text.split("#", 1)[0]
    # Node ends the value at \", and all others take it for an escape; if that is all, they agree.
    escaped = double if double is not None and '\\"' in double else ""
    if single is not None:
        value = single
    elif back is not None:
        value = back
    elif double is not None:
        value = re.sub(r"\\([\s\S])" if escaped else r"\\(n)", lambda m: "\n" if m[1] == "n" else m[1], double)
    else:
        value = plain.strip(" \t")
    faults = [
        (bare[:1] in ("'", '"', "`") and bare != "", bare, "the quote is not closed"),
        (
            plain != text and not plain.endswith((" ", "\t")),
            text[len(plain) :],
            "some programs end the value at this #",
        ),
        (re.match(r"[ \t]*[^# \t]", rest) is not None, rest.lstrip(" \t"), "text follows the closing quote"),
        (cut is not None, f'"{cut}"{rest}', "the quote is not closed, since its last one is escaped"),
        (
            re.search(r'\\[^"\\n]', re.sub(r'\\[\\"]', "", escaped)) is not None,
            f'"{double}"{rest}',
            "programs differ on its escapes",
        ),
        ("\ufffd" in value, match.group(0).split("=", 1)[1], "it is not UTF-8"),
    ]
    fault = next(((part, state) for is_fault, part, state in faults if is_fault), None)
    if fault is None:
        return value
    part, state = fault
    before = match.string[: match.start() + len(match.group(0).rstrip()) - len(part.rstrip())].split("\n")
    at = f"line {len(before)}, column {len(before[-1]) + 1}"
    hint = "Put the whole value into single quotes, or into double ones if it has a single one"
    return ForkstackError("VALUE_UNREADABLE", f'Cannot read variable "{name}" of {file}: {at}: {state}', hint)


def _parse_secrets_file(text: str, name: str) -> dict[str, str]:
    """The secrets in an env file's text; their values may hold anything."""
    found: dict[str, str] = {}
    for key, value in _read_env_file(text, name).items():
        whole = _whole(value) or ""
        if whole.startswith(_ENCODED):
            from urllib.parse import unquote

            whole = unquote(whole[len(_ENCODED) :], errors="strict")
        found[key] = whole
    return found


def _read_shared_file(text: str, name: str) -> _Shared:
    """The values of an env file that is shared with a person, those of forkstack's block apart."""
    found = _find_env_block(text, name)
    if found is None:
        return _Shared(None, _read_env_file(text, name), None)
    begin, end, own, directory = found

    def blank(part: str) -> str:  # only the ends of lines, so that an error names the line in the file
        return re.sub(r"[^\r\n]+", "", part)

    block = _read_env_file(blank(text[: text.index(own, begin)]) + own, name)
    return _Shared(block, _read_env_file(text[:begin] + blank(text[begin:end]) + text[end:], name), directory)


def _find_env_block(text: str, name: str) -> tuple[int, int, str, str | None] | None:
    """Where forkstack's block begins and ends in an env file's text, its lines, and the directory it is written for."""
    markers = list(_MARKER.finditer(text))
    if not markers:
        old = _FORMAT_0_1_0.match(text)
        return None if old is None else (0, old.end(), old.group(1), None)

    def damaged(marker: Any, state: str) -> ForkstackError:
        line = text.count("\n", 0, marker.start()) + 1
        hint = "Leave one pair of marker lines, or delete them and all between, then switch to the environment again"
        return _unusable("ENV_CONFLICT", name, f"line {line}, a marker, {state}", hint)

    values = list(_ASSIGNMENT.finditer(text))
    for marker in markers[:3]:
        around = next((one for one in values if one.start() < marker.start() < one.end()), None)
        if around is not None:
            line = text.count("\n", 0, around.start()) + 1
            raise damaged(marker, f"is inside the value of {around.group(1)} in line {line}")
    first = markers[0]
    begun = _BEGIN.match(first.group(0))
    directory = _attempt(lambda: _directory_in(begun.group(1) if begun else ""))
    if not isinstance(directory, str):
        raise damaged(first, "begins no block")
    if len(markers) == 1:
        raise damaged(first, "has no end marker below it")
    if not _END.match(markers[1].group(0)):
        raise damaged(markers[1], "does not end the block before it")
    if len(markers) > 2:
        raise damaged(markers[2], "follows a block: there may be one")
    return first.start(), markers[1].end(), text[first.end() : markers[1].start()], directory


def _directory_in(marker: str) -> object:
    import json

    return json.loads(marker)["directory"]


# ---- the guard

_Said = dict[str, Optional[str]]  # the environment and the project that a file or a process names
_Facts = dict[str, Any]  # of a checkout and its process; tests/vectors has them by these names
_Candidates = dict[str, Any]  # for one value


class _LazyFacts(dict[str, Any]):
    """Facts of which `hasState` is found out when it is asked for."""

    def __init__(self, facts: _Facts, has_state: Callable[[], bool]) -> None:
        super().__init__(facts)
        self._has_state = has_state

    def get(self, key: str, default: Any = None) -> Any:
        return self._has_state() if key == "hasState" else super().get(key, default)


class _Written(NamedTuple):
    own: _Values | None  # of the environment's own file
    block: _Values | None
    person: _Values
    facts: _Facts
    places: dict[str, str]


class _Guarded(NamedTuple):
    env: str
    value: _Value | None = None
    source: str | None = None  # "process", "file", "derived", "provider" or "person"


class _Way(NamedTuple):
    """The environment that the facts name, before the guard has looked at what contradicts it; how it came about."""

    env: str | None
    decided_by: str
    is_run: bool
    is_named: bool
    is_block_loaded: bool
    is_file_loaded: bool


def _said_by(file: _Values | None) -> _Said | None:
    if file is None:
        return None
    return {"env": _text_in(file, "FORKSTACK_ENV"), "project": _text_in(file, "FORKSTACK_PROJECT")}


def _decide(facts: _Facts) -> _Way:
    process, pointer = facts.get("process") or {}, facts.get("pointer")
    named = [
        ("FORKSTACK_ENV", process.get("env")),
        ("ENV", _deployment_of(process.get("deployment"))),
        (".current-env", None if pointer is None else pointer.strip()),
        ("default", None if facts.get("isLinkedWorktree") else "dev"),
    ]
    decided_by, name = next((one for one in named if one[1] is not None), ("nothing", None))
    env = None if name is None else _parse_env_name(name, decided_by)
    is_run = env is not None and process.get("run") == env  # by `forkstack run`, which has looked

    # A file that was loaded before the start brings the FORKSTACK_ENV that decides: a block, or a person's line.
    def is_by_file(said: _Said | None) -> bool:
        return not is_run and decided_by == "FORKSTACK_ENV" and said is not None and said.get("env") == env

    is_block_loaded = is_by_file(facts.get("block")) and process.get("project") is not None
    is_file_loaded = is_block_loaded or is_by_file(facts.get("person"))
    return _Way(env, decided_by, is_run, decided_by in ("FORKSTACK_ENV", "ENV"), is_block_loaded, is_file_loaded)


def _certain_env(facts: _Facts, way: _Way) -> str:
    """The environment, if nothing contradicts it and it was made."""
    process, project, env = facts.get("process") or {}, facts.get("project"), way.env
    env_file = facts.get("envFile") or ".env.local"
    block, file, person = facts.get("block"), facts.get("file"), facts.get("person") or {}
    pointer = None if facts.get("pointer") is None else facts["pointer"].strip()
    is_by_place = not way.is_run and (not way.is_named or way.is_file_loaded)

    def is_other(said: _Said) -> bool:
        return project is not None and said.get("project") != project

    def says(said: _Said) -> str:
        return f'says environment "{said.get("env") or ""}" of project "{said.get("project") or ""}"'

    is_same = process.get("deployment") == person.get("deployment")
    chosen = None if is_same else _deployment_of(process.get("deployment"))
    wanted = next((one for one in (chosen, pointer, env) if one is not None), "")
    wanted_by = f'{".current-env" if chosen is None else "ENV"} says "{wanted[:40]}"'
    is_other_process = way.is_named and process.get("project") is not None and is_other(process)
    contradiction = None
    if is_other_process:
        contradiction = f'the process environment is that of project "{process["project"]}"'
    elif file is not None and (file.get("env") != env or is_other(file)):
        contradiction = f"their file {says(file)}"
    elif is_by_place and facts.get("isPointerCopied"):
        contradiction = "the pointer is of another directory, which is on it too"
    elif is_by_place and block is not None and pointer is None:
        contradiction = f'{env_file} has a block of "{block.get("env")}", and there is no .current-env'
    elif is_by_place and block is not None and block.get("env") == env and is_other(block):
        contradiction = f"the block in {env_file} {says(block)}"
    elif way.is_file_loaded and _ALIASES.get(wanted, wanted) != env:
        contradiction = f'{env_file}, loaded into the process, is of "{env}", but {wanted_by}'
    if contradiction is not None:
        command = "unset FORKSTACK_PROJECT" if is_other_process else f"forkstack switch {env or 'dev'}"
        hint = f"Make them agree with `{command}`"
        raise _guard_error("ENV_CONFLICT", facts, "use the variables", contradiction, hint)
    if env is None:
        hint = "Use an environment here with `forkstack switch dev`, or create one with `forkstack new`"
        raise _guard_error("ENV_UNSET", facts, "use an environment", "this git worktree points to none", hint)
    is_made = env in ("dev", "prod") or way.is_run or file is not None
    if is_made or not (is_by_place or facts.get("hasState")):
        return env
    hint = f"Create it with `forkstack new {env}`, or use another with `forkstack switch dev`"
    raise _guard_error("ENV_UNKNOWN", facts, "use the variables", "it was never made here, or was deleted", hint)


def _guard(facts: _Facts, name: str = "", candidates: _Candidates | None = None) -> _Guarded:
    """
    The guard: from the facts, the current environment and its value of a variable, or an error; never another
    environment's. It reads nothing. docs/environments.md has the table of its answers.
    """
    way = _decide(facts)
    env = _certain_env(facts, way)
    all_ = candidates or {}
    in_process, file, block = all_.get("process"), all_.get("file"), all_.get("block")
    given = [
        ("file", None if all_.get("isPlace") else file),
        ("derived", all_.get("derived")),
        ("provider", all_.get("provided")),
        ("person", all_.get("person")),
    ]
    source, value = next((one for one in given if one[1] is not None), (None, None))
    if in_process is None:
        return _Guarded(env, value, source)
    said = facts.get("block")
    is_own_block = said is not None and said.get("env") == env
    is_deployment = way.is_named and not way.is_run and not way.is_block_loaded and not facts.get("hasState")
    is_deployed = is_deployment and (said is None or is_own_block or block != in_process)
    if is_deployed or (way.is_run and all_.get("isVouched")):
        return _Guarded(env, in_process, "process")
    own = [] if is_deployment else [value, file, block if is_own_block else None]
    if any(one == in_process or (way.is_file_loaded and _is_changed(one, in_process)) for one in own):
        return _Guarded(env, value, source)
    hint = f"Unset {name}; in a deployment, leave .forkstack and {facts.get('envFile') or '.env.local'} out of it"
    state = "the process environment holds a different value"
    raise _guard_error("ENV_CONFLICT", facts, f"read {name}", state, hint)


def _guard_error(code: str, facts: _Facts, what: str, state: str, hint: str) -> ForkstackError:
    way = _decide(facts)
    whose = "" if way.env is None else f' of environment "{way.env}" (decided by {way.decided_by})'
    return ForkstackError(code, f"Cannot {what}{whose}: {state}", hint)


def _is_changed(written: _Value | None, in_process: str) -> bool:
    """Tells whether the process may have it from a file that was read with `$` or an escape expanded."""
    if not isinstance(written, str):
        return written is not None
    sign = re.search(r"[$\\'`]", written)
    return sign is not None and re.sub("^['\"`]", "", in_process).startswith(written[: sign.start()])


# ---- the forms of other libraries


def _sqlalchemy_url(stack: Stack, name: str | None, driver: str | None) -> str:
    url = stack.of("database", "DATABASE_URL", name)
    scheme, rest = url.split(":", 1)
    plus = f"+{driver}" if driver else ""
    if scheme == "file":
        from sqlalchemy.engine import URL, make_url

        path = _path_of(url)
        text: str = URL.create(f"sqlite{plus}", database=path).render_as_string()
        if make_url(text).database == path:  # what begins the options of a URL can't be in one
            return text
        hint = 'Use `create_engine("sqlite://", creator=lambda: sqlite3.connect(database_path()))`, or move the project'
        raise _unusable("VALUE_INVALID", "DATABASE_URL in SQLAlchemy", f"no URL of its can hold {path}", hint)
    if scheme in ("libsql", "http", "https"):
        token = stack.optional_of("database", "DATABASE_AUTH_TOKEN", name)
        options = "&".join([*(["secure=true"] if scheme != "http" else []), *([f"authToken={token}"] if token else [])])
        return f"sqlite+{driver or 'libsql'}:{rest}{'&' if '?' in rest else '?'}{options}"
    return f"{'postgresql' if scheme == 'postgres' else scheme}{plus}:{rest}"


def _path_of(url: str) -> str:
    from urllib.parse import unquote

    return unquote(re.sub("^file:(?://(?:localhost)?(?=/))?", "", url))


def _django_database(url: str) -> dict[str, Any]:
    from urllib.parse import parse_qsl, unquote, urlsplit

    parts = urlsplit(url)
    if parts.scheme == "file":
        return {"ENGINE": "django.db.backends.sqlite3", "NAME": _path_of(url)}
    engines = {"postgres": "postgresql", "postgresql": "postgresql", "mysql": "mysql", "mariadb": "mysql"}
    engine = engines.get(parts.scheme)
    if engine is None:
        hint = "Use a backend that reads the URL itself, with `database_url()`"
        raise _unusable("VALUE_INVALID", "DATABASE_URL in Django", f'it has no backend for "{parts.scheme}"', hint)
    found: dict[str, Any] = {
        "ENGINE": f"django.db.backends.{engine}",
        "NAME": unquote(parts.path[1:]),
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": unquote(parts.hostname or ""),
        "PORT": str(parts.port or ""),
    }
    options = dict(parse_qsl(parts.query))
    return {**found, "OPTIONS": options} if options else found


# ---- the system


def _join(*parts: str) -> str:
    return re.sub("/{2,}", "/", "/".join(parts))


def _without_end(path: str) -> str:
    return path.rstrip("/\\") or path


def _resolved(directory: str, path: str) -> str:
    return os.path.normpath(os.path.join(directory, path))


def _is_same_place(one: str, other: str) -> bool:
    return one == other or os.path.realpath(one) == os.path.realpath(other)


def _look(path: str, call: Callable[[str], os.stat_result] = os.stat) -> os.stat_result | None:
    return _if_there(path, lambda: call(path))


def _read_text(path: str) -> str | None:
    def read() -> str:
        import stat

        mode = os.stat(path).st_mode
        if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):  # it may never end, or hold up its reader for ever
            raise OSError(0, "it is a pipe or a device")
        with open(path, "rb") as file:
            text = file.read().decode("utf-8", "replace")
        return text[1:] if text.startswith("\ufeff") else text

    return _if_there(path, read)


def _names_in(path: str) -> list[str]:
    return _if_there(path, lambda: os.listdir(path)) or []


def _file_url(path: str) -> str:
    """The `file:` URL of an absolute path."""
    if sys.platform == "win32" and re.match("[A-Za-z]:", path):
        path = "/" + path.replace("\\", "/")
    if re.fullmatch(r"[\w;,/:@&=+$.!~*'()-]*", path, re.ASCII) is None:
        from urllib.parse import quote

        path = quote(path, safe=";,/:@&=+$-_.!~*'()")
    return f"file://{path}"


def _if_there(path: str, work: Callable[[], _T]) -> _T | None:
    """A result of looking at a path; `None` if nothing is there."""
    try:
        return work()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as cause:
        message = f'Cannot read "{path}": {cause.strerror or cause}'
        raise ForkstackError("FILE_UNREADABLE", message, "Check the file's permissions") from cause


def _attempt(work: Callable[[], _T]) -> _T | None:
    """A result, or `None` if there is none because of an error that says nothing to the caller."""
    try:
        return work()
    except (ForkstackError, OSError, ValueError, KeyError, TypeError):
        return None
