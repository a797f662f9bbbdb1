from mova.weights.hub import Hub


def test_only_what_was_asked_for_is_said():
    assert Hub().arguments() == {}
    assert Hub(revision="v1", local_files_only=True).arguments() == {"revision": "v1", "local_files_only": True}
