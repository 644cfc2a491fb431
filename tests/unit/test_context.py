"""What a model is shown of a conversation: all of it, and nothing is dropped silently."""

from collections.abc import Sequence
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from askonce.core.context import (
    Context,
    Excess,
    Measured,
    Window,
    choose,
    estimated,
    measured,
    shown,
    to_summarise,
)
from askonce.core.conversations import Message, Role
from tests.examples import NOW, an_answer

WIDE = Window(tokens=1_000_000, max_output=1024)


def a_message(position: int, content: str = "word " * 20, **changes: Any) -> Message:
    facts: dict[str, Any] = {
        "id": position,
        "session_id": 1,
        "role": Role.USER if position % 2 else Role.ASSISTANT,
        "position": position,
        "content": content,
        "created_at": NOW,
    }
    return Message(**facts | changes)


def a_thread(length: int, first: int = 1) -> list[Message]:
    return [a_message(position) for position in range(first, first + length)]


def a_summary(position: int, content: str = "short") -> Message:
    return a_message(position, content, id=1000 + position, role=Role.SUMMARY)


def narrow(tokens: int) -> Window:
    return Window(tokens=tokens, max_output=16)


def test_the_whole_thread_is_shown_word_for_word_while_it_fits() -> None:
    thread = a_thread(201)

    context = choose(thread, [], window=WIDE, seen=None)

    assert context == Context(verbatim=thread)


def test_a_thread_that_fits_is_shown_whole_even_where_there_are_summaries() -> None:
    thread = a_thread(21)

    context = choose(thread, [a_summary(10)], window=WIDE, seen=None)

    assert context == Context(verbatim=thread)


def test_the_oldest_messages_must_be_summarised_when_it_does_not_fit() -> None:
    excess = choose(a_thread(101), [], window=narrow(2000), seen=None)

    assert isinstance(excess, Excess)
    assert excess.summary is None
    assert 0 < excess.last < 101


def test_what_stays_word_for_word_begins_with_a_user() -> None:
    for length in range(51, 91, 2):
        excess = choose(a_thread(length), [], window=narrow(2000), seen=None)

        assert isinstance(excess, Excess)
        assert excess.last % 2 == 0


def test_a_summary_that_stands_is_used_again() -> None:
    thread = a_thread(101)

    context = choose(thread, [a_summary(90)], window=narrow(2000), seen=None)

    assert isinstance(context, Context)
    assert context.summary == a_summary(90)
    assert context.verbatim == thread[90:]


def test_the_summary_is_used_that_leaves_most_word_for_word() -> None:
    summaries = [a_summary(98), a_summary(90), a_summary(4)]

    context = choose(a_thread(101), summaries, window=narrow(2000), seen=None)

    assert isinstance(context, Context)
    assert context.summary == a_summary(90)


def test_the_next_summary_begins_where_the_last_one_ends() -> None:
    excess = choose(a_thread(101), [a_summary(20)], window=narrow(2000), seen=None)

    assert isinstance(excess, Excess)
    assert excess.summary == a_summary(20)
    assert excess.last > 20


def test_a_summary_of_the_newest_message_itself_is_of_no_use() -> None:
    excess = choose(a_thread(101), [a_summary(101)], window=narrow(2000), seen=None)

    assert isinstance(excess, Excess)
    assert excess.summary is None


def test_what_is_too_long_in_itself_is_left_to_the_model_to_refuse() -> None:
    thread = [a_message(1, "word " * 10_000)]

    assert choose(thread, [], window=narrow(2000), seen=None) == Context(verbatim=thread)


def test_what_the_provider_counted_goes_before_any_estimate() -> None:
    thread = a_thread(21)
    window = narrow(800)
    is_estimated_to_fit = isinstance(choose(thread, [], window=window, seen=None), Context)

    few = Measured(first=1, last=20, tokens=400)
    many = Measured(first=1, last=20, tokens=700)

    assert not is_estimated_to_fit
    assert isinstance(choose(thread, [], window=window, seen=few), Context)
    assert isinstance(choose(thread, [], window=window, seen=many), Excess)


def test_what_a_model_was_shown_as_a_summary_stays_one() -> None:
    thread = a_thread(21)
    summaries = [a_summary(4), a_summary(10)]
    seen = Measured(first=11, last=20, tokens=100)

    context = choose(thread, summaries, window=WIDE, seen=seen)

    assert isinstance(context, Context)
    assert context.summary == a_summary(10)


def test_a_model_that_finds_it_too_long_is_shown_less() -> None:
    thread = a_thread(21)
    context = choose(thread, [], window=WIDE, seen=None)
    assert isinstance(context, Context)

    window = Window(tokens=WIDE.smaller_than(context.tokens), max_output=WIDE.max_output)

    assert isinstance(choose(thread, [], window=window, seen=None), Excess)
    assert WIDE.smaller_than(None) < WIDE.tokens


def test_a_count_is_the_newest_one_of_the_same_model() -> None:
    answer = an_answer(tokens_in=100, tokens_out=10)
    other = an_answer(tokens_in=900, tokens_out=90, model="another")
    thread = [
        *a_thread(3),
        a_message(4, answer=answer, sent=3, summarised=0),
        a_message(5),
        a_message(6, answer=other, sent=5, summarised=0),
        a_message(7),
        a_message(8),
    ]

    seen = measured(thread, provider=answer.provider, model=answer.model)

    assert seen == Measured(first=1, last=4, tokens=110)
    assert measured(thread, provider="openai", model=answer.model) is None


def test_a_count_with_a_summary_begins_where_the_words_began() -> None:
    answer = an_answer(tokens_in=100, tokens_out=10)
    thread = [*a_thread(19), a_message(20, answer=answer, sent=5, summarised=14)]

    seen = measured(thread, provider=answer.provider, model=answer.model)

    assert seen == Measured(first=15, last=20, tokens=110)


def test_a_summary_is_shown_as_what_a_user_says_and_tells_what_it_stands_for() -> None:
    first, *others = shown(a_summary(90, "We spoke of caches."), a_thread(2, first=91))

    assert first.role is Role.USER
    assert "90 messages" in first.content
    assert "We spoke of caches." in first.content
    assert [one.role for one in others] == [Role.USER, Role.ASSISTANT]


def test_the_newest_message_is_asked_and_not_among_those_before_it() -> None:
    thread = a_thread(3)

    assert [said.content for said in Context(verbatim=thread).before_last()] == [
        message.content for message in thread[:2]
    ]


def test_at_least_one_message_is_summarised_at_a_time() -> None:
    too_long = [a_message(1, "word " * 10_000), a_message(2)]

    assert to_summarise(too_long, None, narrow(500)) == too_long[:1]


@given(st.text(st.characters(codec="utf-8"), max_size=300))
def test_estimates_are_cautious(text: str) -> None:
    assert estimated(text) >= len(text.encode()) / 3


@given(
    st.lists(st.integers(0, 3000), min_size=1, max_size=40),
    st.integers(64, 4000),
    st.lists(st.integers(1, 45), max_size=3),
    st.integers(1, 20),
)
def test_nothing_is_ever_left_out(
    lengths: Sequence[int], tokens: int, covered: list[int], most: int
) -> None:
    """However long: what is shown and what is summarised is the whole thread, after few steps."""
    thread = [a_message(at, "x" * length) for at, length in enumerate(lengths, 1)]
    summaries = [a_summary(position) for position in covered if position <= len(thread)]
    window = narrow(tokens)

    for _ in range(len(thread) + 1):
        choice = choose(thread, summaries, window=window, seen=None)
        if isinstance(choice, Context):
            break
        done = 0 if choice.summary is None else choice.summary.position
        some = to_summarise(thread[done : choice.last][:most], choice.summary, window)
        summaries.append(a_summary(some[-1].position))
    else:
        raise AssertionError("it never ends")

    stands_for = 0 if choice.summary is None else choice.summary.position
    assert [one.position for one in choice.verbatim] == [*range(stands_for + 1, len(thread) + 1)]
