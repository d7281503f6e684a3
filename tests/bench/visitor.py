"""Sign the owner of a company in, as a browser would be; prints the page's path and the cookie.

`python -m tests.bench.visitor PIN`.
"""

import os
import sys

import django


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "gateway.settings")
    django.setup()
    from django.test import Client

    from gateway.tenants.models import Company, Member, Role, User

    user = User.objects.create_user("owner@bench.example")
    company = Company.objects.get(pin=sys.argv[1])
    Member.objects.create(user=user, company=company, role=Role.OWNER)
    browser = Client()
    browser.force_login(user, backend="allauth.account.auth_backends.AuthenticationBackend")
    (cookie,) = browser.cookies.values()
    print(f"/companies/{company.public_id}/ {cookie.key}={cookie.value}")


if __name__ == "__main__":
    main()
