from gateway.lib.spelling import no_such_field


def test_a_misspelt_name_is_told_with_the_one_that_was_meant() -> None:
    known = ["issued_at", "reference", "lines"]
    assert no_such_field("issuedAt", known) == "There is no field issuedAt; check its spelling. Did you mean issued_at?"
    assert no_such_field("colour", known) == "There is no field colour; check its spelling."
