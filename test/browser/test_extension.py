"""The browser extension in Debian's Chromium and Firefox (test/browser/scenarios)."""

import os

import pytest


def test_extension(play, extension):
    play("extension", extension=extension)


def test_extension_safety(play, extension):
    play("extension_safety", extension=extension)


def test_extension_again(play, extension):
    play("extension_again", extension=extension)


def test_extension_settings(play, extension):
    play("extension_settings", extension=extension)


def test_extension_firefox(play, extension):
    if not os.access(os.environ.get("NETPAY_FIREFOX", "/usr/bin/firefox-esr"), os.X_OK):
        pytest.skip("Debian's firefox-esr is not installed")
    play("extension_firefox", extension=os.path.join(os.path.dirname(extension), "firefox"))
