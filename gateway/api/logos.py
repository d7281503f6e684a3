"""The logo at the head of a company's receipts."""

from django.http import HttpResponse
from ninja import File, Router, Schema, Status
from ninja.files import UploadedFile

from gateway.api.auth import Principal
from gateway.api.lists import only_these
from gateway.api.problems import Problem, field, invalid
from gateway.api.receipts import download
from gateway.api.request import EitherRequest, either_key, must, must_be_active, the_company
from gateway.sales.receipts.company_logo import find_logo, remove_logo, set_logo
from gateway.sales.receipts.logos import BadLogo
from gateway.tenants.rights import Right

router = Router(tags=["receipts"])


class LogoOut(Schema):
    content_type: str
    bytes: int


@router.post(
    "/companies/{id}/logo/", response=LogoOut, auth=either_key, operation_id="set_logo", summary="Give receipts a logo"
)
def upload(request: EitherRequest, id: str, file: File[UploadedFile]) -> dict[str, object]:
    """A PNG or JPEG file of at most 200 KB, 32 to 2000 pixels wide and high. What is printed from now on shows it."""
    company = the_company(request.auth, id)
    must(request.auth, Right.MANAGE_BRANCHES)
    must_be_active(request.auth, company)
    try:
        logo = set_logo(company, content=file.read(), actor=request.auth.actor)
    except BadLogo as error:
        raise invalid([field("file", "bad_logo", str(error))]) from None
    return {"content_type": logo.content_type, "bytes": len(logo.content)}


@router.get(
    "/companies/{id}/logo/",
    auth=either_key,
    operation_id="get_logo",
    summary="The logo on receipts",
    openapi_extra={
        "responses": {
            200: {
                "description": "The file.",
                "content": {
                    kind: {"schema": {"type": "string", "format": "binary"}} for kind in ("image/png", "image/jpeg")
                },
            }
        }
    },
)
def show(request: EitherRequest, id: str) -> HttpResponse:
    """The file, as it was given."""
    company = the_company(request.auth, id)
    must(request.auth, Right.READ if isinstance(request.auth, Principal) else Right.READ_COMPANIES)
    only_these(request)
    logo = find_logo(company)
    if logo is None:
        raise Problem("not_found", "The company has no logo.")
    return download(bytes(logo.content), logo.content_type, f"logo.{logo.content_type.removeprefix('image/')}")


@router.delete(
    "/companies/{id}/logo/",
    response={204: None},
    auth=either_key,
    operation_id="remove_logo",
    summary="Take the logo off receipts",
)
def remove(request: EitherRequest, id: str) -> Status[None]:
    """Receipts have none from now on."""
    company = the_company(request.auth, id)
    must(request.auth, Right.MANAGE_BRANCHES)
    must_be_active(request.auth, company)
    remove_logo(company, actor=request.auth.actor)
    return Status(204, None)
