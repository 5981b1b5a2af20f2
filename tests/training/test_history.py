"""A history is the sequence of its rows."""
import pytest

from fastnet.training import History

ROWS = [{"epoch": i, "loss": 1 / i, "lr": 0.1} for i in (1, 2, 3)]


def test_rows_columns_and_slices():
    history = History(ROWS, interrupted=True)
    assert list(history) == ROWS and len(history) == 3 and history[-1] is ROWS[-1] and history[0] is ROWS[0]
    assert history["loss"] == [1, 1 / 2, 1 / 3] and ROWS[1] in history and list(reversed(history)) == ROWS[::-1]
    for part, interrupted in ((history[1:], True), (history[:2], False), (history[::-1], True), (history[5:], False)):
        assert isinstance(part, History) and part.interrupted is interrupted
    assert history[1:].rows == ROWS[1:] and history[::2]["epoch"] == [1, 3]
    assert repr(history[:1]) == "History(1 epochs)\nepoch   1  loss 1.0000  lr 0.1"


def test_rows_may_hold_less_or_more():
    history = History([{"epoch": 1}, {"epoch": 2, "f1": 0.5}])
    assert history["f1"] == [None, 0.5] and repr(history).splitlines()[1] == "epoch   1"
    assert History()["loss"] == [] and repr(History()) == "History(0 epochs)" and not History()


@pytest.mark.parametrize("call, error, message", [
    (lambda h: h["los"], KeyError, "History: there is no column 'los'; there are epoch, loss, lr"),
    (lambda h: h[3], IndexError, "History: there is no row 3 among 3"),
    (lambda h: h[-4], IndexError, "History: there is no row -4 among 3"),
    (lambda h: h[0.5], TypeError, "History: an epoch's place, .* must be an integer, got 0.5"),
    (lambda h: h[True], TypeError, "must be an integer, got True"),
    (lambda h: History(3), TypeError, "History: rows must be a list of dictionaries, one an epoch, got 3"),
    (lambda h: History([3]), TypeError, "History: rows must be dictionaries, one an epoch, got 3"),
    (lambda h: History([], 1), TypeError, "History: interrupted must be True or False, got 1"),
])
def test_what_is_not_there(call, error, message):
    with pytest.raises(error, match=message):
        call(History(ROWS))
