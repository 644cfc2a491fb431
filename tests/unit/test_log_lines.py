"""Lines of the log go out together, in their order, and whole."""

import os
import threading

from askonce.telemetry.lines import Lines


def everything(read: int, write: int) -> str:
    os.close(write)
    with os.fdopen(read, encoding="utf-8") as stream:
        return stream.read()


def test_all_lines_come_out_in_their_order() -> None:
    read, write = os.pipe()
    lines = Lines(write)

    for number in range(1000):
        lines.write(f"line {number}\n")
    lines.flush()

    assert everything(read, write) == "".join(f"line {number}\n" for number in range(1000))


def test_a_line_is_written_without_being_asked_for() -> None:
    read, write = os.pipe()

    Lines(write).write("a line\n")

    assert os.read(read, 100) == b"a line\n"
    os.close(read)
    os.close(write)


def test_lines_of_many_threads_are_never_torn() -> None:
    read, write = os.pipe()
    lines = Lines(write)

    def write_many() -> None:
        for _ in range(200):
            lines.write("x" * 30 + "\n")

    threads = [threading.Thread(target=write_many) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    lines.flush()

    assert set(everything(read, write).splitlines()) == {"x" * 30}


def test_a_reader_that_is_gone_stops_nobody() -> None:
    read, write = os.pipe()
    os.close(read)

    lines = Lines(write)
    lines.write("a line\n")
    lines.flush()

    os.close(write)
