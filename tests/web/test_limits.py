"""How often somebody may do something, and how much all may do at a time."""

from mova.web.limits import Room, Window


def test_each_key_has_its_own_window():
    window = Window(2, 60.0)
    assert [window.take("a", now) for now in (0.0, 10.0)] == [0.0, 0.0]
    assert window.take("a", 20.0) == 40.0
    assert window.take("b", 20.0) == 0.0
    assert window.take("a", 60.0) == 0.0
    assert window.take("a", 60.0) == 10.0


def test_strangers_do_not_fill_the_memory():
    window = Window(1, 1e9)
    for number in range(20_100):
        window.take(number, 0.0)
    assert window.take(20_099, 1.0) > 0
    assert len(window._times) <= 10_000


def test_requests_have_so_many_bytes_together_until_they_give_them_back():
    room = Room(100)
    one, other = room.share(), room.share()
    assert one.take(60)
    assert not other.take(41)
    assert other.take(40)
    assert not one.take(1)
    one.give_back()
    one.give_back()
    assert other.take(60)
    other.give_back()
    assert one.take(100)
