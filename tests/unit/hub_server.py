"""A server on this machine that speaks the protocol of the Hugging Face hub: heads with hashes and commits, redirects, ranges of bytes."""

import hashlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

COMMIT = "c" * 40


class Hub(ThreadingHTTPServer):
    """Serves ``files`` by (repository, name); ``seen`` are the requests, ``stall`` is waited for after the first half of a file."""

    daemon_threads = True

    def __init__(self, files):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files, self.seen, self.stall = files, [], None
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_address[1]}"

    def gets(self, name):
        """How often the bytes of a file were asked for."""
        return sum(method == "GET" and path.startswith("/cdn/") and name in path for method, path in self.seen)

    def use(self, monkeypatch, home):
        """Have the hub's client ask this server, with a cache of its own."""
        from huggingface_hub import constants

        for name in ("HF_HUB_CACHE", "HF_HUB_OFFLINE"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("HF_ENDPOINT", self.url)
        monkeypatch.setenv("HF_HOME", str(home))
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(home / "hub"))


class _Handler(BaseHTTPRequestHandler):
    server: Hub

    def do_HEAD(self):
        self._serve(body=False)

    def do_GET(self):
        self._serve(body=True)

    def _serve(self, *, body):
        self.server.seen.append((self.command, self.path))
        if self.path.startswith("/cdn/"):
            self._file(self.path.removeprefix("/cdn/"), body=body)
            return
        owner, name, _, _, file = (*self.path.strip("/").split("/", 4), "", "", "", "")[:5]
        key = f"{owner}/{name}/{file}"
        content = self.server.files.get(key)
        if content is None:
            self.send_response(404)
            self.send_header("X-Error-Code", "EntryNotFound")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        digest = hashlib.sha256(content).hexdigest()
        self.send_response(302)
        self.send_header("Location", f"http://localhost:{self.server.server_address[1]}/cdn/{key}")  # another host, as the hub's is
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("X-Linked-ETag", f'"{digest}"')
        self.send_header("X-Linked-Size", str(len(content)))
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _file(self, key, *, body):
        content = self.server.files[key]
        self.send_response(200)
        self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if body:
            half = len(content) // 2
            self.wfile.write(content[:half])
            if self.server.stall is not None:
                self.wfile.flush()
                self.server.stall.wait(30)
            self.wfile.write(content[half:])

    def log_message(self, *arguments):
        pass
