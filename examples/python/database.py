"""The database of the current environment."""

from collections.abc import Iterator
from typing import Annotated

from fastapi import Depends
from sqlalchemy import create_engine
from sqlalchemy.orm import Session

import forkstack

engine = create_engine(forkstack.sqlalchemy_url())


def open_session() -> Iterator[Session]:
    """Opens a session for one request."""
    with Session(engine) as session:
        yield session


SessionDep = Annotated[Session, Depends(open_session)]
