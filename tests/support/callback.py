"""An app's callback that a real browser reaches."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit


class Callback:
    """An app's callback: it takes answers by GET and POST, and sends the browser on to a page, its own or another's."""

    def __init__(self) -> None:
        callback = self
        self.answers: list[tuple[str, dict[str, str]]] = []
        self.next_page = "/done"

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                parts = urlsplit(self.path)
                if parts.path == "/cb":
                    self.take("GET", parts.query)
                else:
                    self.send_response(200)
                    self.send_header("content-type", "text/html")
                    self.end_headers()
                    self.wfile.write(
                        b"<!doctype html><html lang=en><title>App</title><link rel=icon href=data:,><p>Back in the app"
                    )

            def do_POST(self) -> None:
                self.take("POST", self.rfile.read(int(self.headers["content-length"])).decode())

            def take(self, method: str, form: str) -> None:
                callback.answers.append((method, {name: values[0] for name, values in parse_qs(form).items()}))
                self.send_response(303)
                self.send_header("location", callback.next_page)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self._server.server_address[1]
        self.uri = f"http://127.0.0.1:{self.port}/cb"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
