"""Serves a WSGI application with gunicorn: processes with threads, connections kept alive.

Of gunicorn's workers `gthread` is the one that keeps connections alive without patching what the libraries do.
"""

# mypy: ignore-errors

from gunicorn.app.base import BaseApplication

THREADS = 8


class _Gunicorn(BaseApplication):
    def __init__(self, application, setup):
        self._application = application
        self._setup = setup
        super().__init__()

    def load_config(self):
        for name, value in {
            "bind": f"127.0.0.1:{self._setup['port']}",
            "workers": self._setup["workers"],
            "worker_class": "gthread",
            "threads": THREADS,
            "keepalive": 120,
            "timeout": 120,
            "loglevel": "warning",
            "when_ready": self._announce,
        }.items():
            self.cfg.set(name, value)

    def load(self):
        return self._application

    def _announce(self, arbiter):
        # Bound already: who connects before the workers have started waits for them.
        print(f"ready http://127.0.0.1:{self._setup['port']}", flush=True)


def serve(application, setup):
    """Serve until SIGTERM."""
    _Gunicorn(application, setup).run()
