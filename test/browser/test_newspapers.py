"""What a newspaper shows, and to whom, in Debian's Chromium against httpd, memcached and the broker."""


def test_paywall(play):
    play("paywall")


def test_prefetch(play):
    play("prefetch")


def test_command_line(play):
    play("command_line")


def test_keyboard(play):
    play("keyboard")
