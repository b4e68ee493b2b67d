/**
 * The files of template django.
 * Written by `deno task gen` from examples/django: change those.
 *
 * @module
 */
import python from "./readers/python.ts";

const files: Readonly<Record<string, string>> = {
  ".gitignore": ".venv/\n__pycache__/\n",
  "README.md":
    '# notes, in Django\n\nDjango on the embedded stack: a database in a file for each environment, no account, no server. No file here names an\nenvironment but for production: `config/settings.py` asks the reader.\n\n```sh\npython3 -m venv .venv && . .venv/bin/activate\npip install -r requirements.txt\nforkstack switch dev\npython manage.py migrate\npython manage.py runserver\ncurl localhost:8000/notes -d \'{"text": "Buy milk"}\'\n```\n\nGive alice her own copy, and serve both at once:\n\n```sh\nforkstack new alice --no-switch\nforkstack run alice -- python manage.py runserver 8001\ncurl localhost:8001/        # {"environment": "alice", "notes": 1}: what she adds from here on is hers\n```\n\nA migration is tried in a fork first. `dev` keeps its tables until you run it there too:\n\n```sh\nforkstack switch alice\npython manage.py makemigrations && python manage.py migrate\nforkstack switch dev\n```\n\nA running server keeps the environment it started with; start it again after a switch.\n\n| file                 | what it holds                                                                                                 |\n| -------------------- | ------------------------------------------------------------------------------------------------------------- |\n| `config/settings.py` | `DATABASES` by `forkstack.django_database()`; in `prod` the `SECRET_KEY` is a secret of the environment       |\n| `notes/`             | the model, its migration, the views: `GET /`, `GET /notes`, `POST /notes`                                     |\n| `forkstack.py`       | forkstack\'s reader, one file without dependencies                                                             |\n| `forkstack.json`     | the stack; for PostgreSQL `"database": {"provider": "postgres"}`, and `psycopg[binary]` in `requirements.txt` |\n',
  "config/__init__.py": "",
  "config/settings.py":
    '"""Django\'s settings; whatever differs between environments comes from forkstack."""\n\nimport forkstack\n\nIS_PRODUCTION = forkstack.current_env() == "prod"\n\nDEBUG = not IS_PRODUCTION\nSECRET_KEY = forkstack.get_secret("SECRET_KEY") if IS_PRODUCTION else "no secret: for development only"\nALLOWED_HOSTS = ["notes.example"] if IS_PRODUCTION else ["127.0.0.1", "localhost"]\n\nINSTALLED_APPS = ["notes"]\nMIDDLEWARE = ["django.middleware.security.SecurityMiddleware", "django.middleware.common.CommonMiddleware"]\nROOT_URLCONF = "config.urls"\nWSGI_APPLICATION = "config.wsgi.application"\n\nDATABASES = {"default": forkstack.django_database()}\nDEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"\nTIME_ZONE = "UTC"\nUSE_TZ = True\n',
  "config/urls.py":
    '"""The addresses of the site."""\n\nfrom django.urls import path\n\nfrom notes import views\n\nurlpatterns = [\n    path("", views.status),\n    path("notes", views.notes),\n]\n',
  "config/wsgi.py":
    '"""The application for a WSGI server: `gunicorn config.wsgi`."""\n\nimport os\n\nfrom django.core.wsgi import get_wsgi_application\n\nos.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")\n\napplication = get_wsgi_application()\n',
  "forkstack.json": '{ "project": "notes" }\n',
  "forkstack.py": python,
  "manage.py":
    '#!/usr/bin/env python\n"""Django\'s command line for this project."""\n\nimport os\nimport sys\n\nfrom django.core.management import execute_from_command_line\n\nif __name__ == "__main__":\n    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")\n    execute_from_command_line(sys.argv)\n',
  "notes/__init__.py": "",
  "notes/migrations/0001_initial.py":
    '"""The table of notes."""\n\nfrom django.db import migrations, models\n\n\nclass Migration(migrations.Migration):\n    initial = True\n\n    dependencies = []\n\n    operations = [\n        migrations.CreateModel(\n            name="Note",\n            fields=[\n                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),\n                ("text", models.CharField(max_length=500)),\n            ],\n        ),\n    ]\n',
  "notes/migrations/__init__.py": "",
  "notes/models.py":
    '"""The tables. After a change here: `python manage.py makemigrations`, then `python manage.py migrate`."""\n\nfrom django.db import models\n\n\nclass Note(models.Model):\n    """A note."""\n\n    text = models.CharField(max_length=500)\n\n    def __str__(self) -> str:\n        return self.text\n',
  "notes/views.py":
    '"""Notes over HTTP, as JSON."""\n\nimport json\n\nfrom django import forms\nfrom django.http import HttpRequest, JsonResponse\nfrom django.views.decorators.csrf import csrf_exempt\nfrom django.views.decorators.http import require_GET, require_http_methods\n\nimport forkstack\n\nfrom .models import Note\n\n\nclass NoteForm(forms.ModelForm):\n    """A note to add."""\n\n    class Meta:\n        model = Note\n        fields = ["text"]\n\n\ndef fields_of(note: Note) -> dict[str, object]:\n    return {"id": note.pk, "text": note.text}\n\n\n@require_GET\ndef status(request: HttpRequest) -> JsonResponse:\n    """The environment, and how many notes it has."""\n    return JsonResponse({"environment": forkstack.current_env(), "notes": Note.objects.count()})\n\n\n@csrf_exempt  # there is no login, and so nothing that another site could do in somebody\'s name\n@require_http_methods(["GET", "POST"])\ndef notes(request: HttpRequest) -> JsonResponse:\n    """Lists all notes, or adds one."""\n    if request.method == "GET":\n        return JsonResponse([fields_of(note) for note in Note.objects.order_by("id")], safe=False)\n    try:\n        form = NoteForm(dict(json.loads(request.body)))\n    except (TypeError, ValueError):\n        return JsonResponse({"error": \'The body must be JSON like {"text": "Buy milk"}\'}, status=400)\n    if not form.is_valid():\n        return JsonResponse({"error": form.errors}, status=422)\n    return JsonResponse(fields_of(form.save()), status=201)\n',
  "requirements.txt": "django>=4.2,<6\n",
};
export default files;
