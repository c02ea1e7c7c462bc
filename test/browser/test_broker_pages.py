"""The broker's site in Debian's Chromium: scenarios of test/browser/scenarios against httpd, memcached and the broker."""


def test_site(play):
    play("site")


def test_vendor(play):
    play("vendor")


def test_card(play):
    play("card")
