"""What a worker asks of whatever makes the clips."""

from mova.serve.worker.generator import Made, Watch


def test_nobody_has_to_look():
    watch = Watch()
    watch.on_progress("sampling", 1, 2)
    watch.on_preview(0, None)
    assert not watch.is_stopped()
    assert (watch.resume_from, watch.save_state, Made().facts) == (None, None, {})
