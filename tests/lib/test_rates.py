import pytest

from gateway.lib.rates import Rate, Window, read_rate


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("20/second", Rate(20, 1)),
        (" 600/minute ", Rate(600, 60)),
        ("10000/hour", Rate(10000, 3600)),
        ("", None),
        ("  ", None),
    ],
)
def test_a_rate_is_read(text: str, rate: Rate | None) -> None:
    assert read_rate(text) == rate


@pytest.mark.parametrize("text", ["0/second", "-1/second", "20", "20/day", "20 / second", "many/second", "1.5/second"])
def test_what_is_no_rate_is_told(text: str) -> None:
    with pytest.raises(ValueError, match="is no rate such as"):
        read_rate(text)


def test_each_id_is_counted_for_itself_and_anew_in_each_window() -> None:
    window = Window(60)
    assert [window.add("a", now=120.0), window.add("a", now=179.9), window.add("b", now=150.0)] == [1, 2, 1]
    assert window.add("a", now=179.9, times=0) == 2
    assert window.add("a", now=180.0) == 1
