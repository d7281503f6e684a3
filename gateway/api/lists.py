"""What the routes of all lists share: how many rows, from where on, and no misspelt filter."""

from typing import Annotated

from django.http import HttpRequest
from ninja import Schema
from pydantic import AfterValidator, Field, StringConstraints

from gateway.api.problems import field, invalid
from gateway.api.shapes import plain_line
from gateway.lib.spelling import no_such_field

Limit = Annotated[int, Field(ge=1, le=200, description="Rows of a page.")]
Cursor = Annotated[
    Annotated[str, StringConstraints(max_length=100), AfterValidator(plain_line)] | None,
    Field(description="The value of `next` from the page before."),
]


def only_these(request: HttpRequest, wanted: type[Schema] | None = None) -> None:
    """A misspelt filter must not show everything: raises Problem 422 for parameters that `wanted` does not have."""
    known = {} if wanted is None else wanted.model_fields
    if unknown := sorted(request.GET.keys() - known.keys()):
        raise invalid(field(name, "unknown_field", no_such_field(name, known)) for name in unknown)
