"""What captions will cost."""

from types import SimpleNamespace

from mova.curate.caption.costs import cost_by_role, expected_calls
from mova.curate.config.caption import CaptionSection
from shared_captions import section

FAKE = SimpleNamespace(base_url="http://127.0.0.1:9/v1")


def test_captions_without_a_model_cost_nothing():
    assert expected_calls(CaptionSection(), 1000) == (0, 0)
    assert cost_by_role(CaptionSection()) == {}


def test_four_calls_for_each_clip():
    calls, tokens = expected_calls(section(FAKE), 1000)
    assert calls == 4000
    by_role = cost_by_role(section(FAKE))
    assert tokens == 1000 * sum(cost.tokens for cost in by_role.values())
    assert by_role["visual"].tokens > 16 * 520
    assert 100 < by_role["audio"].tokens < 1000


def test_more_frames_and_longer_replies_cost_more():
    def tokens(**more):
        return expected_calls(section(FAKE, **more), 1).tokens

    assert tokens(visual={"frames": 32}) > tokens() + 16 * 500
    assert tokens(visual={"short_side": 240}) < tokens()
    assert tokens(merge={"max_tokens": 100}) < tokens()
    assert expected_calls(section(FAKE), 1, duration_s=80).tokens > tokens()
