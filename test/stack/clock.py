"""The clock of a server under test, by libfaketime: it can be set, and goes on from there."""

import glob
import os
import sqlite3
import time

FAKETIME = (glob.glob("/usr/lib/*/faketime/libfaketime.so.1") + [None])[0]


class Clock:
    """The clock of the servers that have `env` in their environment."""

    def __init__(self, directory):
        assert FAKETIME, "libfaketime.so.1 is not installed (Debian package libfaketime)"
        self.file = os.path.join(directory, "clock")
        self.ahead = 0.0
        self.set(time.time())

    @property
    def env(self):
        return {"LD_PRELOAD": FAKETIME, "FAKETIME_TIMESTAMP_FILE": self.file, "FAKETIME_NO_CACHE": "1",
                "FAKETIME_DONT_FAKE_MONOTONIC": "1", "FAKETIME_FMT": "%s", "NO_FAKE_STAT": "1"}

    def now(self):
        return time.time() + self.ahead

    def set(self, when):
        """Shows `when` and a tenth of a second, so that what follows at once falls into that second."""
        self.run_ahead(when + 0.1 - time.time())

    def run_ahead(self, seconds):
        """Shows the true time and so many seconds more."""
        fresh = self.file + ".new"
        with open(fresh, "w") as f:
            f.write("%+.3f" % seconds)
        os.chmod(fresh, 0o644)
        os.replace(fresh, self.file)
        self.ahead = seconds

    def advance(self, seconds, broker=None):
        """Time passes. A broker whose clock this is was there all the while: without that, it would
        take the jump for a time it was down, and lengthen every lease by it."""
        if broker:
            with sqlite3.connect(broker.options["store"], timeout=20) as store:
                store.execute("INSERT INTO heartbeat (id, at) VALUES (1, :t) "
                              "ON CONFLICT (id) DO UPDATE SET at = excluded.at", {"t": int(self.now() + seconds)})
            store.close()
        self.run_ahead(self.ahead + seconds)
