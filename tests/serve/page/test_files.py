"""Files of the page."""

from mova.serve.page.files import page_files


def test_the_page_has_its_own_policy_and_the_icon_its_own_type():
    files = page_files()
    assert set(files) == {"/", "/icon.svg"}
    assert "sha256-" in files["/"].headers["Content-Security-Policy"]
    assert files["/"].content.startswith("<!doctype html>")
    assert files["/icon.svg"].kind == "image/svg+xml"
