"""What stands in the page's address."""

import pytest

from geotag_batch.errors import UsageError
from geotag_batch.review.filters import Filter, Place, parse_filter, parse_place


def test_a_filter_comes_back_from_its_own_address_as_it_was() -> None:
    asked = {"tag": "Burial ground, Crematorium", "low": "0.2", "square": "su 31", "contributor": "Ó Briain & co"}
    found = parse_filter(asked)
    assert (found.tag, found.low, found.square) == ("Burial ground, Crematorium", 0.2, "SU31")
    pairs = dict(pair.split("=") for pair in found.query().removeprefix("?").split("&"))
    assert pairs["square"] == "SU31"
    assert pairs["contributor"] == "%C3%93+Briain+%26+co"


def test_what_is_empty_or_unknown_asks_for_nothing() -> None:
    assert parse_filter({"tag": "", "low": " ", "colour": "red"}) == Filter()
    assert Filter().query() == ""


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"tag": "Castle"}, "none of the 49 tags"),
        ({"low": "2"}, "from 0 to 1"),
        ({"low": "nan"}, "from 0 to 1"),
        ({"low": "0.9", "high": "0.1"}, "no score is at least 0.9"),
        ({"square": "SU3"}, "no square"),
        ({"square": "SU31'; DROP TABLE queue"}, "no square"),
        ({"state": "lost"}, "none of waiting, decided, all"),
        ({"photo": "-1"}, "no photo's id"),
        ({"contributor": "x" * 101}, "at most 100"),
    ],
)
def test_what_makes_no_sense_is_said(asked: dict[str, str], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        parse_filter(asked)


def test_a_place_comes_back_to_the_last_bit_and_nonsense_is_refused() -> None:
    place = Place(8.447771193687004e-08, 1317)
    assert parse_place({"after": str(place)}) == place
    assert parse_place({"before": str(place)}) == Place(place.rank, 1317, backwards=True)
    assert parse_place({}) is None
    for nonsense in ("x", "0.1", "0.1_x", "_", "nan_1", f"0.1_{2**63}"):
        with pytest.raises(UsageError, match="no place"):
            parse_place({"after": nonsense})
