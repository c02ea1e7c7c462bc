"""Two newspapers with an e-wallet of a plain browser, in Debian's Chromium against httpd, memcached and the broker."""


def test_story_server(play):
    play("story_server")


def test_story_cookie(play):
    play("story_cookie")


def test_give_back(play):
    play("give_back")
