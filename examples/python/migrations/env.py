"""Runs migrations on the database of the current environment."""

import sys
from logging.config import fileConfig
from pathlib import Path

from alembic import context

sys.path.insert(0, str(Path(__file__).parent.parent))

from database import engine  # noqa: E402
from models import Base  # noqa: E402

if context.config.config_file_name is not None:
    fileConfig(context.config.config_file_name, disable_existing_loggers=False)

# render_as_batch: SQLite alters a table by making it anew.
OPTIONS = {"target_metadata": Base.metadata, "render_as_batch": engine.dialect.name == "sqlite"}

if context.is_offline_mode():
    context.configure(url=engine.url, literal_binds=True, **OPTIONS)
    with context.begin_transaction():
        context.run_migrations()
else:
    with engine.connect() as connection:
        context.configure(connection=connection, **OPTIONS)
        with context.begin_transaction():
            context.run_migrations()
