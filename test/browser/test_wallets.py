"""Tabs, limits and computers with e-wallets of a plain browser, in Debian's Chromium."""


def test_asked(play):
    play("asked")


def test_tabs(play):
    play("tabs")
