"""Pages given back by the browser extension, at a newspaper that takes them back from wallets of any kind."""

GIVE_BACK = "600 3 100"


def test_extension_giveback(play, extension):
    play("extension_giveback", extension=extension)
