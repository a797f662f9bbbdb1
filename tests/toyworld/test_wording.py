from mova.toyworld.wording import in_order, in_row, with_ranks


def test_a_row_says_places_or_neighbours():
    assert in_row(["do", "mi", "la"], ranked=True) == "first do, second mi and third la"
    assert in_row(["do", "mi", "la"], ranked=False) == "do, mi and then la"


def test_one_thing_is_no_row_and_articles_stand_before_each():
    assert with_ranks(["do"]) == "first do"
    assert with_ranks(["red", "blue"], "the ") == "first the red and second the blue"
    assert in_order(["do", "mi"]) == "do and then mi"
