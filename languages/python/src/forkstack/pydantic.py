"""
A source for pydantic-settings: fields are read from the current environment.

    class Settings(BaseSettings):
        database_url: str
        stripe_key: SecretStr

        @classmethod
        def settings_customise_sources(cls, settings_cls, **others):
            return (ForkstackSource(settings_cls), *others.values())
"""

from typing import Any

from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

from forkstack import ForkstackError, Stack, open_stack

__all__ = ["ForkstackSource"]


class ForkstackSource(PydanticBaseSettingsSource):
    """
    Reads each field by its name in capitals, or its alias: first as a variable, then as a secret. A field that nothing
    gives is left to the other sources and to its default; any other error of forkstack is raised.
    """

    def __init__(self, settings_cls: type[BaseSettings], stack: "Stack | None" = None) -> None:
        super().__init__(settings_cls)
        self._stack = stack or open_stack()

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        prefix = str(self.config.get("env_prefix") or "")
        alias = field.validation_alias if isinstance(field.validation_alias, str) else None
        name = alias or (prefix + field_name).upper()
        for read in (self._stack.variable, self._stack.secret):
            try:
                return read(name), alias or field_name, self.field_is_complex(field)
            except ForkstackError as error:
                if error.code not in ("VALUE_MISSING", "SECRET_MISSING"):
                    raise
        return None, field_name, False

    def __call__(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for field_name, field in self.settings_cls.model_fields.items():
            value, key, is_complex = self.get_field_value(field, field_name)
            if value is not None:
                found[key] = self.prepare_field_value(field_name, field, value, is_complex)
        return found
