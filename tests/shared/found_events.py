"""How many events of rendered clips the readers of a scene find."""

from mova.toyworld.score import match_events

HALF_A_FRAME_S = 0.5 / 24


def recall_and_precision(clips, frames_of):
    """Return recall and precision within half a frame, and the share of matched events at their place."""
    true = found = matched = bars = 0
    for clip in clips:
        events = clip.scene.read(frames_of(clip), 24.0).events
        pairs = match_events(
            [event.time_s for event in clip.events], [event.time_s for event in events], HALF_A_FRAME_S
        )
        true, found, matched = true + len(clip.events), found + len(events), matched + len(pairs)
        bars += sum((clip.events[i].bar, clip.events[i].side) == (events[j].bar, events[j].side) for i, j in pairs)
    return matched / true, matched / found, bars / matched
