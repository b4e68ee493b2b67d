"""Notes over HTTP, as JSON."""

import json

from django import forms
from django.http import HttpRequest, JsonResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_GET, require_http_methods

import forkstack

from .models import Note


class NoteForm(forms.ModelForm):
    """A note to add."""

    class Meta:
        model = Note
        fields = ["text"]


def fields_of(note: Note) -> dict[str, object]:
    return {"id": note.pk, "text": note.text}


@require_GET
def status(request: HttpRequest) -> JsonResponse:
    """The environment, and how many notes it has."""
    return JsonResponse({"environment": forkstack.current_env(), "notes": Note.objects.count()})


@csrf_exempt  # there is no login, and so nothing that another site could do in somebody's name
@require_http_methods(["GET", "POST"])
def notes(request: HttpRequest) -> JsonResponse:
    """Lists all notes, or adds one."""
    if request.method == "GET":
        return JsonResponse([fields_of(note) for note in Note.objects.order_by("id")], safe=False)
    try:
        form = NoteForm(dict(json.loads(request.body)))
    except (TypeError, ValueError):
        return JsonResponse({"error": 'The body must be JSON like {"text": "Buy milk"}'}, status=400)
    if not form.is_valid():
        return JsonResponse({"error": form.errors}, status=422)
    return JsonResponse(fields_of(form.save()), status=201)
