"""The video extractor computes what the original does, and divides its attention as it should."""

import pytest
import torch

import fill_weights
from mova.scorers.front_ends.image_crops import synchformer_frames, synchformer_segments
from mova.scorers.networks.synchformer.model import Synchformer
from mova.scorers.networks.synchformer.sizes import SynchformerSizes
from mova.scorers.networks.synchformer.video import VideoExtractor
from scorer_records import open_record

SMALL = SynchformerSizes(dim=16, depth=1, heads=2, image=32, frames=4)


@pytest.fixture(scope="module")
def segments():
    return synchformer_segments(synchformer_frames(fill_weights.image("synchformer/video", 24, 300, 260)))


def test_frames_are_the_recorded_ones(segments):
    assert segments.shape == (2, 16, 3, 224, 224)
    shown = torch.stack([segments[0, 0], segments[0, 8], segments[1, 8]])[..., ::4, ::4]
    wanted = open_record("synchformer").tensors["frontend.picture_every_8th"]
    torch.testing.assert_close(shown, wanted, atol=2e-6, rtol=0)


@pytest.mark.slow
def test_frames_become_the_recorded_features(segments):
    record = open_record("synchformer")
    with torch.inference_mode():
        found = record.network(Synchformer, "vfeat_extractor.").video_features(segments[None])
    record.check(found, "output.video_features")


@pytest.fixture
def extractor():
    made = VideoExtractor(SMALL).eval()
    fill_weights.fill(made.state_dict())
    return made


def test_a_feature_stands_for_two_frames_and_segments_do_not_see_each_other(extractor):
    frames = torch.randn(3, 4, 3, 32, 32)
    with torch.inference_mode():
        found = extractor(frames)
        torch.testing.assert_close(extractor(frames[1:]), found[1:], atol=1e-5, rtol=1e-5)
    assert found.shape == (3, 2, 16)


def test_a_token_sees_its_own_place_at_other_times_and_other_places_of_its_own_time(extractor):
    block = extractor.blocks[0]
    tokens = torch.randn(1, 1 + 2 * 4, 16)
    moved = tokens.clone()
    moved[0, 1] += 1.0
    with torch.inference_mode():
        over_time = (block.timeattn(moved, 2, over_time=True) - block.timeattn(tokens, 2, over_time=True)).abs()
        in_space = (block.attn(moved, 2, over_time=False) - block.attn(tokens, 2, over_time=False)).abs()
    seen = [[bool(change[0, i].max() > 1e-6) for i in range(9)] for change in (over_time, in_space)]
    assert seen[0] == [True, True, False, False, False, True, False, False, False]
    assert seen[1] == [True, True, True, True, True, False, False, False, False]


def plain_attention(attention, x, steps, *, over_time):
    """Return what the definition says, with a mask over all pairs of tokens."""
    length, places = x.shape[1], (x.shape[1] - 1) // steps
    index = torch.arange(length - 1)
    group = index % places if over_time else index // places
    mask = torch.ones(length, length, dtype=torch.bool)
    mask[1:, 1:] = group[:, None] == group[None]
    q, k, v = (part.unflatten(-1, (2, -1)).transpose(1, 2) for part in attention.qkv(x).chunk(3, -1))
    weights = (q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5).masked_fill(~mask, -torch.inf).softmax(-1)
    return attention.proj((weights @ v).transpose(1, 2).flatten(2))


@pytest.mark.parametrize(("steps", "places"), [(2, 4), (1, 4), (5, 3), (8, 1)])
def test_divided_attention_equals_attention_with_a_mask(extractor, steps, places):
    attention, x = extractor.blocks[0].attn, torch.randn(2, 1 + steps * places, 16)
    with torch.inference_mode():
        for over_time in (False, True):
            plain = plain_attention(attention, x, steps, over_time=over_time)
            torch.testing.assert_close(attention(x, steps, over_time=over_time), plain, atol=1e-5, rtol=1e-5)
