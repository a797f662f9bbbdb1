"""What the other parts of the script use: languages and numbers."""

import pytest

from studio_kit import opened

pytestmark = pytest.mark.services


def test_the_language_is_that_of_the_browser_until_another_is_chosen(visit, quick):
    for locale, language in (("en-GB", "en"), ("zh-CN", "zh-Hans"), ("zh-TW", "zh-Hans"), ("fr-FR", "en")):
        page = opened(visit, quick, locale=locale).page
        assert page.evaluate("document.documentElement.lang") == language
    page.select_option("#language", "zh")
    assert page.evaluate("[t('step_of', {n: 2, total: 8}), duration(40), duration(600), duration(7200)]") == [
        "第 2 步，共 8 步",
        "40 秒",
        "10 分钟",
        "2 小时",
    ]


def test_bytes_are_said_in_the_unit_that_suits_them(visit, quick):
    page = opened(visit, quick).page
    assert page.evaluate("[0, 1000, 2048, 3 * 2 ** 20, 5.5 * 2 ** 30].map(bytes)") == [
        "0 B",
        "1,000 B",
        "2 KiB",
        "3 MiB",
        "5.5 GiB",
    ]


def test_large_seeds_are_kept_whole(visit, quick):
    page = opened(visit, quick).page
    said = page.evaluate(
        """parse('{"seed": 18446744073709551615, "prompt": "\\\\"seed\\\\": 1234567890123456789", "n": 3}')"""
    )
    assert said == {"seed": "18446744073709551615", "prompt": '"seed": 1234567890123456789', "n": 3}
