"""Notes over HTTP: `uvicorn main:app`."""

from fastapi import FastAPI
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import func, select

import forkstack
from database import SessionDep
from models import Note

app = FastAPI(title="notes")


class Status(BaseModel):
    """The environment, and how many notes it has."""

    environment: str
    notes: int


class NewNote(BaseModel):
    """A note to add."""

    text: str = Field(min_length=1, max_length=500)


class SavedNote(NewNote):
    """A note with its number."""

    model_config = ConfigDict(from_attributes=True)

    id: int


@app.get("/")
def status(session: SessionDep) -> Status:
    count = session.scalar(select(func.count()).select_from(Note)) or 0
    return Status(environment=forkstack.current_env(), notes=count)


@app.get("/notes", response_model=list[SavedNote])
def list_notes(session: SessionDep) -> list[Note]:
    return list(session.scalars(select(Note).order_by(Note.id)))


@app.post("/notes", status_code=201, response_model=SavedNote)
def add_note(new: NewNote, session: SessionDep) -> Note:
    note = Note(text=new.text)
    session.add(note)
    session.commit()
    return note
