"""The browser extension in Debian's Chromium (test/browser/scenarios); beside test_browser.py on the second core."""

import pytest


def test_extension(play, extension):
    play("extension", extension=extension)


@pytest.mark.alone
def test_extension_safety(play, extension):
    play("extension_safety", extension=extension)
