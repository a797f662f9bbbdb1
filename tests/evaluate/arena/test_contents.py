"""What an arena is made with."""

from mova.evaluate.arena.contents import NewClip, NewPrompt


def test_clips_of_two_models_with_one_number_are_a_pair():
    clips = tuple(NewClip(model, number, f"{model}{number}", 1.0) for model in "abc" for number in range(2))
    pairs = [(one.file, other.file) for one, other in NewPrompt("p", "", "", clips).pairs()]
    assert pairs == [("a0", "b0"), ("a0", "c0"), ("a1", "b1"), ("a1", "c1"), ("b0", "c0"), ("b1", "c1")]
    assert not list(NewPrompt("p", "", "", clips[:2]).pairs())
