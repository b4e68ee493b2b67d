"""The tables. After a change here: `python manage.py makemigrations`, then `python manage.py migrate`."""

from django.db import models


class Note(models.Model):
    """A note."""

    text = models.CharField(max_length=500)

    def __str__(self) -> str:
        return self.text
