"""KRA's item classification: searched, suggested for an item's name, and walked."""

from typing import Annotated, Any, Literal

from ninja import Query, Router, Schema
from pydantic import AfterValidator, Field, StringConstraints

from gateway.api.lists import Cursor, Limit, only_these
from gateway.api.problems import Problem, field
from gateway.api.request import ApiRequest, must
from gateway.api.shapes import ClassCode, Name, plain_line
from gateway.catalog.classification import (
    ClassUnknown,
    Match,
    Page,
    children_of,
    find_class,
    search_classes,
    suggest_classes,
)
from gateway.lib.cursor import read_place, write_place
from gateway.tenants.rights import Right

router = Router(tags=["classifications"])
Question = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200), AfterValidator(plain_line)
]


class ClassOut(Schema):
    """`path`: the names above it, from the top. `words`: those of the question that it was found by."""

    code: str
    name: str
    level: int
    tax_type: str | None = Field(description="Null where KRA leaves the letter to the item.")
    path: list[str]
    words: list[str]


class ClassesOut(Schema):
    """A page. `next` is the cursor of the following page, null at the end; `total` counts all pages."""

    classifications: list[ClassOut]
    total: int
    next: str | None


class SuggestionsOut(Schema):
    suggestions: list[ClassOut]


class SearchIn(Schema):
    """What to look for."""

    q: Question = Field(description="Words, their beginnings, a little misspelt; or the first digits of a code.")
    tax_type: Literal["A", "B", "C", "D", "E"] | None = None
    level: Annotated[int, Field(ge=1, le=5)] | None = None
    limit: Limit = 20
    cursor: Cursor = None


class TreeIn(Schema):
    """Which branch of the tree."""

    parent: ClassCode | None = Field(None, description="A code; the top of the tree when left out.")
    limit: Limit = 100
    cursor: Cursor = None


class SuggestIn(Schema):
    name: Name = Field(description="The name of an item, as it stands on the shelf.")


@router.get(
    "/classifications/", response=ClassesOut, operation_id="search_classes", summary="Find item classes by words"
)
def search(request: ApiRequest, wanted: Query[SearchIn]) -> dict[str, Any]:
    """The classes that fit the words best, first. Those with more of the words come before those with fewer."""
    must(request.auth, Right.READ)
    only_these(request, SearchIn)
    skip = read_place(wanted.cursor)
    page = search_classes(
        request.auth.environment,
        wanted.q,
        tax_type=wanted.tax_type or "",
        level=wanted.level,
        limit=wanted.limit,
        skip=skip,
    )
    return _page(page, skip)


@router.get(
    "/classifications/tree/", response=ClassesOut, operation_id="browse_classes", summary="Walk the tree of classes"
)
def tree(request: ApiRequest, wanted: Query[TreeIn]) -> dict[str, Any]:
    """The classes right below one, in the order of their codes; the top ones without `parent`."""
    must(request.auth, Right.READ)
    only_these(request, TreeIn)
    skip = read_place(wanted.cursor)
    try:
        page = children_of(request.auth.environment, wanted.parent or "", limit=wanted.limit, skip=skip)
    except ClassUnknown:
        raise _unknown(wanted.parent or "") from None
    return _page(page, skip)


@router.get(
    "/classifications/suggest/",
    response=SuggestionsOut,
    operation_id="suggest_classes",
    summary="Suggest classes for an item's name",
)
def suggest(request: ApiRequest, wanted: Query[SuggestIn]) -> dict[str, Any]:
    """Up to five classes that an item of this name may belong to, the best first. A person decides."""
    must(request.auth, Right.READ)
    only_these(request, SuggestIn)
    found = suggest_classes(request.auth.environment, wanted.name)
    return {"suggestions": [_out(match) for match in found]}


@router.get(
    "/classifications/{code}/", response=ClassOut, operation_id="get_class", summary="One item class, by its code"
)
def one(request: ApiRequest, code: str) -> dict[str, Any]:
    """The class as KRA lists it now."""
    must(request.auth, Right.READ)
    only_these(request)
    try:
        return _out(find_class(request.auth.environment, code))
    except ClassUnknown:
        raise _unknown(code) from None


def _unknown(code: str) -> Problem:
    words = f"KRA's classification has no class {code[:20]} in use."
    return Problem("not_found", words, fields=[field("parent", "unknown_code", words)])


def _page(page: Page, skip: int) -> dict[str, Any]:
    end = skip + len(page.matches)
    return {
        "classifications": [_out(match) for match in page.matches],
        "total": page.total,
        "next": write_place(end) if page.matches and end < page.total else None,
    }


def _out(match: Match) -> dict[str, Any]:
    entry = match.entry
    return {**entry._asdict(), "tax_type": entry.tax_type or None, "path": match.path, "words": match.words}
