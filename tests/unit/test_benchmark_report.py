"""How the benchmark tells what it measured."""

from benchmarks.arithmetic import Target
from benchmarks.report import Figure, Row, Section

RATE = Figure("rate", 1234.6, "1/s", decimals=0)
GOOD = Figure("x bare", 1.25, "", Target(at_least=1.2), decimals=2)
BAD = Figure("x bare", 1.15, "", Target(at_least=1.2), decimals=2)
SECTION = Section(
    measure="hits", title="Hits", rows=[Row("64 sqlite", (RATE, GOOD)), Row("64 bare", (RATE,))]
)


def test_a_figure_stands_beside_its_target_and_whether_it_is_met() -> None:
    assert str(GOOD) == "1.25 >= 1.20 yes"
    assert str(BAD) == "1.15 >= 1.20 NO"
    assert str(RATE) == "1235"


def test_a_target_is_judged_by_what_was_measured_and_not_by_what_is_shown() -> None:
    almost = Figure("x bare", 1.1999, "", Target(at_least=1.2), decimals=2)

    assert str(almost) == "1.20 >= 1.20 NO"


def test_the_table_has_a_column_for_each_figure_and_a_blank_where_there_is_none() -> None:
    assert list(SECTION.lines()) == [
        "Hits",
        "             rate 1/s            x bare",
        "  64 sqlite      1235  1.25 >= 1.20 yes",
        "  64 bare        1235",
    ]


def test_the_json_has_an_object_for_each_figure() -> None:
    sqlite, judged, _ = SECTION.as_json()

    assert sqlite == {
        "measure": "hits",
        "of": "64 sqlite",
        "figure": "rate",
        "unit": "1/s",
        "value": 1234.6,
    }
    assert judged["target"] == {"at_least": 1.2}
    assert judged["is_met"] is True
