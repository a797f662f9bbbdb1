"""The parts of a server belong together."""

from mova.serve.api.build import services_of
from mova.serve.settings import load_settings


def test_the_parts_share_one_store_and_are_woken_by_the_callers_hand(tmp_path):
    woken = []
    with services_of(load_settings(None, {"data": tmp_path}), lambda: woken.append(1)) as services:
        services.wake()
        assert services.offer.name == services.settings.model_name()
        assert services.replies.video
    assert woken == [1]
