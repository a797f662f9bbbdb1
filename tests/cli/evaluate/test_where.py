"""What a report says of the run itself."""

import json

from mova.cli.evaluate.where import where_and_when


def test_command_date_versions_and_processor_are_told():
    told = where_and_when()
    assert json.loads(json.dumps(told)) == told
    assert told["command"].startswith("mova")
    assert told["device"]
    assert {"python", "torch"} <= set(told["versions"])
