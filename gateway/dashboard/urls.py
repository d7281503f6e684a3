"""The pages for people: accounts under /account/, companies under /companies/."""

from allauth.account import views as account
from allauth.mfa.base import views as mfa
from allauth.mfa.recovery_codes import views as codes
from allauth.mfa.totp import views as totp
from django.urls import URLPattern, path, re_path

from gateway.dashboard import browsers, joining, pages, people, receipts

# allauth's own names, which it looks up itself; what we do not offer (sign-up, other addresses) has no path
ACCOUNT = [
    path("account/login/", account.login, name="account_login"),
    path("account/logout/", account.logout, name="account_logout"),
    path("account/inactive/", account.account_inactive, name="account_inactive"),
    path("account/reauthenticate/", account.reauthenticate, name="account_reauthenticate"),
    path("account/password/change/", account.password_change, name="account_change_password"),
    path("account/password/reset/", account.password_reset, name="account_reset_password"),
    path("account/password/reset/sent/", account.password_reset_done, name="account_reset_password_done"),
    re_path(
        r"^account/password/reset/(?P<uidb36>[0-9A-Za-z]+)-(?P<key>[^/]+)/$",
        account.password_reset_from_key,
        name="account_reset_password_from_key",
    ),
    path(
        "account/password/reset/done/",
        account.password_reset_from_key_done,
        name="account_reset_password_from_key_done",
    ),
    path("account/2fa/", mfa.index, name="mfa_index"),
    path("account/2fa/authenticate/", mfa.authenticate, name="mfa_authenticate"),
    path("account/2fa/reauthenticate/", mfa.reauthenticate, name="mfa_reauthenticate"),
    path("account/2fa/app/", totp.activate_totp, name="mfa_activate_totp"),
    path("account/2fa/app/off/", totp.deactivate_totp, name="mfa_deactivate_totp"),
    path("account/2fa/codes/", codes.view_recovery_codes, name="mfa_view_recovery_codes"),
    path("account/2fa/codes/new/", codes.generate_recovery_codes, name="mfa_generate_recovery_codes"),
    path("account/2fa/codes/file/", codes.download_recovery_codes, name="mfa_download_recovery_codes"),
    path("account/sessions/", browsers.sessions, name="sessions"),
    path("account/sessions/end/", browsers.end_others, name="end_other_sessions"),
    path("account/sessions/<slug:session>/end/", browsers.end_session, name="end_session"),
    path("account/invitation/", joining.invitation, name="invitation"),
    path("account/invitation/<str:token>/", joining.open_link, name="invitation-link"),
]
COMPANIES = [
    path("home/", pages.home, name="home"),
    path("companies/<uuid:company>/", pages.company, name="company"),
    path("companies/<uuid:company>/people/", people.people, name="people"),
    path("companies/<uuid:company>/people/<uuid:member>/", people.member, name="member"),
    path("companies/<uuid:company>/people/<uuid:member>/remove/", people.remove, name="remove-member"),
    path("companies/<uuid:company>/invitations/<uuid:invitation>/resend/", people.resend, name="resend-invitation"),
    path("companies/<uuid:company>/invitations/<uuid:invitation>/revoke/", people.revoke, name="revoke-invitation"),
]
urlpatterns: list[URLPattern] = [*ACCOUNT, *COMPANIES, *receipts.urlpatterns]
