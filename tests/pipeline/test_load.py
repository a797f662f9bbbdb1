"""The same model by whatever name it is called."""

import shutil

from mova.pipeline.load import load_pipeline


def test_command_plan_and_pipeline_recommend_the_same_size_however_the_model_is_named(checkpoint, tmp_path):
    from mova.generate.request import ClipOptions
    from mova.generate.run import make_request
    from mova.plan.published import find_defaults

    shutil.copytree(checkpoint, tmp_path / "MOVA-720p")
    snapshot = tmp_path / "models--OpenMOSS-Team--MOVA-720p" / "snapshots" / "0123abc"
    snapshot.parent.mkdir(parents=True)
    snapshot.symlink_to(tmp_path / "MOVA-720p")
    for folder in (tmp_path / "MOVA-720p", snapshot):
        asked = make_request(str(folder), ClipOptions(prompt="a dog"))[1].settings
        loaded, planned = load_pipeline(folder).defaults, find_defaults(str(folder))
        assert {(found.height, found.width) for found in (asked, loaded, planned)} == {(720, 1280)}
    assert find_defaults("OpenMOSS-Team/MOVA-720p") == find_defaults("mova-720p") == load_pipeline(snapshot).defaults
