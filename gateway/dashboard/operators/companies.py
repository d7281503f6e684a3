"""Companies, branches, people and keys on the operators' pages."""

from functools import partial

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.safestring import SafeString

from gateway.audit.services import record
from gateway.dashboard.operators.base import Table, acting_role, may_do, operator_name, site, state, with_reason
from gateway.tenants.keys import Giver, ReachesFurther, revoke_key, status_of
from gateway.tenants.models import ApiKey, Branch, Company, Invitation, Member, OperatorKey, Organisation, Staff, User
from gateway.tenants.rights import Right


@admin.register(Company, site=site)
class CompanyTable(Table):
    list_display = ("name", "pin", "status", "plan", "organisation", "created_at")
    list_filter = ("status", "plan", "organisation")
    list_select_related = ("organisation",)
    search_words = {"pin": "pin", "text": "name__istartswith", "id": "public_id", "email": "contact_email"}
    search_help_text = "PIN, the start of the name, id or e-mail address"
    shown = (
        *("public_id", "pin", "name", "status", "plan", "organisation"),
        *("contact_email", "contact_phone", "created_at"),
    )


@admin.register(Branch, site=site)
class BranchTable(Table):
    list_display = ("company", "code", "name", "city")
    list_select_related = ("company",)
    search_words = {"pin": "company__pin", "id": "company__public_id"}
    search_help_text = "PIN or id of the company"
    shown = ("company", "code", "name", "address", "city", "top_message", "bottom_message")


@admin.register(User, site=site)
class PersonTable(Table):
    list_display = ("email", "name", "is_active", "is_staff", "is_superuser", "last_login")
    list_filter = ("is_active", "is_staff")
    search_words = {"email": "email", "id": "public_id", "text": "name__istartswith", "text:2": "email__istartswith"}
    search_help_text = "E-mail address, the start of it or of the name, or id"
    shown = ("public_id", "email", "name", "is_active", "is_staff", "is_superuser", "joined_at", "last_login")


@admin.register(Member, site=site)
class MemberTable(Table):
    list_display = ("user", "company", "role", "expires_at")
    list_filter = ("role",)
    list_select_related = ("user", "company")
    search_words = {"pin": "company__pin", "email": "user__email", "id": "company__public_id"}
    search_help_text = "E-mail address, or PIN or id of the company"
    shown = ("user", "company", "role", "expires_at")


@admin.register(Invitation, site=site)
class InvitationTable(Table):
    list_display = ("email", "company", "role", "created_at", "sent_at", "accepted_at", "revoked_at")
    list_select_related = ("company",)
    search_words = {"pin": "company__pin", "email": "email", "id": "public_id"}
    search_help_text = "E-mail address, PIN of the company, or id"
    shown = (
        *("public_id", "company", "email", "name", "role", "access_until", "invited_by"),
        *("created_at", "sent_at", "expires_at", "accepted_at", "revoked_at"),
    )


@admin.register(Organisation, site=site)
class OrganisationTable(Table):
    list_display = ("name", "sees_all", "created_at")
    shown = ("public_id", "name", "sees_all", "created_at")


@admin.register(Staff, site=site)
class StaffTable(Table):
    list_display = ("user", "organisation", "role")
    list_select_related = ("user", "organisation")
    search_words = {"email": "user__email"}
    shown = ("user", "organisation", "role")


@admin.register(ApiKey, site=site)
class ApiKeyTable(Table):
    list_display = ("prefix", "company", "environment", "role", "name", "standing", "last_used_at", "expires_at")
    list_filter = ("environment", "role")
    list_select_related = ("company",)
    search_words = {"pin": "company__pin", "text": "prefix", "id": "company__public_id"}
    search_help_text = "The key's first 16 characters, or PIN or id of the company"
    shown = (
        *("prefix", "company", "environment", "role", "device", "name"),
        *("created_at", "expires_at", "revoked_at", "last_used_at"),
    )
    actions = ("revoke",)

    @admin.display(description="status")
    def standing(self, key: ApiKey) -> SafeString:
        word = status_of(key, now=timezone.now())
        return state(word, good=word == "active", bad=word == "revoked")

    @admin.action(description="Revoke", permissions=["revoke"])
    def revoke(self, request: HttpRequest, keys: QuerySet[ApiKey]) -> HttpResponse | None:
        """End the chosen keys at once."""
        by = Giver(role=acting_role(request), name=operator_name(request))
        return with_reason(
            self,
            request,
            keys,
            action="revoke",
            title="Revoke",
            what="Whatever uses these keys stops working within two seconds, for good.",
            do=lambda key, reason: revoke_key(key, by=by, now=timezone.now(), journal=partial(record, reason=reason)),
            refused=(ReachesFurther,),
        )

    def has_revoke_permission(self, request: HttpRequest) -> bool:
        return may_do(request, Right.MANAGE_KEYS)


@admin.register(OperatorKey, site=site)
class OperatorKeyTable(Table):
    list_display = ("prefix", "user", "role", "name", "created_at", "expires_at", "revoked_at")
    list_select_related = ("user",)
    shown = ("prefix", "user", "role", "name", "created_at", "expires_at", "revoked_at")
