"""A Hugging Face hub on this machine: the few calls that uploading and fetching take, one commit a repository."""

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from trainer.model import hub

TOKEN = "hf_ada"


@dataclass
class Repository:
    private: bool = False
    files: dict[str, bytes] = field(default_factory=dict)

    @property
    def commit(self) -> str:
        return hashlib.sha1(repr(sorted(self.files.items())).encode()).hexdigest()


class FakeHub(ThreadingHTTPServer):
    """Its repositories, and who may write where: ada into her own."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answers)
        self.repositories: dict[str, Repository] = {}
        self.calls: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Answers(BaseHTTPRequestHandler):
    server: FakeHub

    def log_message(self, *_: object) -> None: ...

    def do_HEAD(self) -> None:
        self._resolve(whole=False)

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path == "/api/whoami-v2":
            known = self._token == TOKEN
            self._send(200 if known else 401, {"name": "ada"} if known else {"error": "Invalid credentials"})
        elif path.startswith("/api/models/"):
            name = "/".join(path.split("/")[3:5])
            found = self._visible(name)
            if found is None:
                self._send(404, {"error": "Repository not found"}, **{"X-Error-Code": "RepoNotFound"})
            elif "/revision/" in path and path.rpartition("/")[2] not in ("main", found.commit):
                self._send(404, {}, **{"X-Error-Code": "RevisionNotFound"})
            elif "/tree/" in path:
                files = {name: (len(content), _oid(content)) for name, content in found.files.items()}
                self._send(
                    200,
                    [{"type": "file", "path": path, "size": size, "oid": oid} for path, (size, oid) in files.items()],
                )
            else:
                self._send(200, {"id": name, "private": found.private, "sha": found.commit})
        else:
            self._resolve(whole=True)

    def do_POST(self) -> None:
        body, path = self.rfile.read(int(self.headers["Content-Length"])), self.path.partition("?")[0]
        if path == "/api/validate-yaml":
            self._send(200, {"warnings": [], "errors": []})
        elif path == "/api/repos/create":
            asked = json.loads(body)
            name = f"{asked['organization']}/{asked['name']}"
            if asked["organization"] != "ada":
                self._send(403, {"error": "You don't have the rights"})
            elif name in self.server.repositories:
                self._send(409, {"error": "You already created this model repo", "url": f"{self.server.url}/{name}"})
            else:
                self.server.repositories[name] = Repository(asked["visibility"] == "private")
                self._send(200, {"url": f"{self.server.url}/{name}"})
        elif path.endswith("/preupload/main"):
            asked = json.loads(body)["files"]
            told = [{"path": each["path"], "uploadMode": "regular", "shouldIgnore": False} for each in asked]
            self._send(200, {"files": told})
        else:
            name = path.removeprefix("/api/models/").removesuffix("/commit/main")
            repository = self.server.repositories[name]
            self.server.calls.append(f"commit {name}")
            for line in map(json.loads, body.splitlines()):
                if line["key"] == "file":
                    repository.files[line["value"]["path"]] = base64.b64decode(line["value"]["content"])
            url = f"{self.server.url}/{name}/commit/{repository.commit}"
            self._send(200, {"commitUrl": url, "commitOid": repository.commit})

    @property
    def _token(self) -> str:
        return self.headers.get("Authorization", "").removeprefix("Bearer ")

    def _visible(self, name: str) -> Repository | None:
        found = self.server.repositories.get(name)
        return found if found is not None and (not found.private or self._token == TOKEN) else None

    def _resolve(self, *, whole: bool) -> None:
        """/OWNER/NAME/resolve/REVISION/FILE"""
        owner, name, _, revision, file = self.path.removeprefix("/").split("/", 4)
        self.server.calls.append(f"{self.command} {file}")
        found = self._visible(f"{owner}/{name}")
        if found is None:
            return self._send(404, {}, **{"X-Error-Code": "RepoNotFound"})
        if revision not in ("main", found.commit):
            return self._send(404, {}, **{"X-Error-Code": "RevisionNotFound"})
        if file not in found.files:
            return self._send(404, {}, **{"X-Error-Code": "EntryNotFound", "X-Repo-Commit": found.commit})
        content = found.files[file]
        told = {"ETag": f'"{_oid(content)}"', "X-Repo-Commit": found.commit}
        return self._send(200, content, body=whole, **told)

    def _send(self, status: int, content: Any, *, body: bool = True, **headers: str) -> None:
        payload = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        for key, value in {"Content-Length": str(len(payload)), **headers}.items():
            self.send_header(key, value)
        self.end_headers()
        if body and self.command != "HEAD":
            self.wfile.write(payload)


def _oid(content: bytes) -> str:
    return hashlib.sha1(content).hexdigest()


@contextmanager
def served(monkeypatch: pytest.MonkeyPatch, home: Path) -> Iterator[FakeHub]:
    """The hub that huggingface_hub asks, ada being logged in; home: a folder for what it keeps."""
    from huggingface_hub import close_session, constants

    server = FakeHub()
    (home / "token").write_text(TOKEN)
    said = {
        "ENDPOINT": server.url,
        "HUGGINGFACE_CO_URL_TEMPLATE": server.url + "/{repo_id}/resolve/{revision}/{filename}",
        "HF_HUB_CACHE": str(home / "cache"),
        "HF_TOKEN_PATH": str(home / "token"),
        "HF_HUB_DISABLE_XET": True,
        "HF_HUB_OFFLINE": False,
    }
    for name, value in said.items():
        monkeypatch.setattr(constants, name, value)
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    hub.fetched.cache_clear()
    try:
        yield server
    finally:
        close_session()
        server.shutdown()
        server.server_close()
        thread.join()
        hub.fetched.cache_clear()
