"""KRA's code tables as shipped, for installations that have not fetched them yet."""

from gateway.catalog.models import Code
from gateway.kra.codes import code_class, shipped_classes


def seed_codes(environment: str) -> int:
    """Add the shipped codes that this environment lacks; how many. What was fetched is never overwritten."""
    known = set(Code.objects.filter(environment=environment).values_list("code_class", "code"))
    missing = [
        Code(
            environment=environment,
            code_class=number,
            code=code.code[:5],
            name=code.name[:60],
            value="" if code.rate is None else str(code.rate),
        )
        for number in shipped_classes()
        for code in code_class(number).values()
        if (number, code.code[:5]) not in known
    ]
    Code.objects.bulk_create(missing, ignore_conflicts=True)
    return len(missing)
