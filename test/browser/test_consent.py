"""What an e-wallet of a plain browser never pays, in Debian's Chromium."""

CLOCK = True


def test_typed(play):
    play("typed")


def test_signed_out(play):
    play("signed_out")
