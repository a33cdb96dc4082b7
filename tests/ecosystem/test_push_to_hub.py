"""A student pushed to a hub: a server on this machine that keeps what huggingface_hub sends."""

import base64
import json
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from huggingface_hub import constants
from typer.testing import CliRunner

import stillhouse as sh
from stillhouse.cli.app import app
from stillhouse.errors import RunError, SystemFault

pytestmark = [
    pytest.mark.ecosystem,
    pytest.mark.programs,
    # Of huggingface_hub with a newer httpx, while it sends a file.
    pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning"),
]


class Hub(ThreadingHTTPServer):
    """Repositories in memory: name -> file -> bytes."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.repositories: dict[str, dict[str, bytes]] = {}
        self.objects: dict[str, bytes] = {}
        self.loses_uploads = False
        self.endpoint = f"http://127.0.0.1:{self.server_port}"


class Answer(BaseHTTPRequestHandler):
    """The five calls of an upload, as the hub answers them."""

    protocol_version = "HTTP/1.1"
    server: Hub

    def log_message(self, *_: object) -> None:
        """Quiet."""

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") == "chunked":
            parts = []
            while size := int(self.rfile.readline(), 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(parts)
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def _say(self, found: object, status: int = 200) -> None:
        text = json.dumps(found).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def do_GET(self) -> None:
        self._say({"error": "not found"}, 404)

    def do_PUT(self) -> None:
        body = self._body()
        if self.server.loses_uploads:
            self.close_connection = True
            return
        self.server.objects[self.path.rsplit("/", 1)[1]] = body
        self._say({})

    def do_POST(self) -> None:
        body, hub = self._body(), self.server
        if (
            self.headers.get("Authorization") not in ("Bearer hf_right",)
            and "/put/" not in self.path
        ):
            return self._say({"error": "Invalid username or password."}, 401)
        if self.path == "/api/repos/create":
            asked = json.loads(body)
            name = f"{asked.get('organization') or 'me'}/{asked['name']}"
            there = name in hub.repositories
            hub.repositories.setdefault(name, {})
            url = f"{hub.endpoint}/{name}"
            return self._say({"url": url, "name": name, "id": name}, 409 if there else 200)
        if self.path == "/api/validate-yaml":
            return self._say({"errors": [], "warnings": []})
        name = re.match(r"/(?:api/models/)?([^/]+/[^/.]+)", self.path)[1]
        if "/preupload/" in self.path:
            large = (".safetensors", ".pt2")
            return self._say({"files": [
                {"path": each["path"], "shouldIgnore": False,
                 "uploadMode": "lfs" if each["path"].endswith(large) else "regular"}
                for each in json.loads(body)["files"]
            ]})  # fmt: skip
        if self.path.endswith("/info/lfs/objects/batch"):
            return self._say({"transfer": "basic", "objects": [
                {**each, "actions": {"upload": {"href": f"{hub.endpoint}/put/{each['oid']}"}}}
                for each in json.loads(body)["objects"]
            ]})  # fmt: skip
        if "/commit/" in self.path:
            for line in map(json.loads, body.splitlines()):
                kept, value = hub.repositories[name], line["value"]
                if line["key"] == "file":
                    kept[value["path"]] = base64.b64decode(value["content"])
                elif line["key"] == "lfsFile":
                    kept[value["path"]] = hub.objects[value["oid"]]
            url = f"{hub.endpoint}/{name}/commit/0123"
            return self._say({"commitUrl": url, "commitOid": "0" * 40, "success": True})
        return self._say({"error": f"no such call: {self.path}"}, 404)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    server = Hub()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    monkeypatch.setattr(constants, "ENDPOINT", server.endpoint)
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "no-token"))
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setenv("HF_TOKEN", "hf_right")
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("hub") / "run"
    sh.distill(
        data={"source": "digits", "limit": 100},
        student="convnet-8",
        teacher="convnet-8",
        out=out,
        epochs=1,
        seeds=1,
        precision="fp32",
    )
    return out


def test_what_arrives_is_the_folder_byte_for_byte(hub: Hub, finished: Path) -> None:
    (finished / "student" / "private.txt").write_text("a stray file of the owner")
    done = CliRunner().invoke(app, ["export", str(finished), "--to", "hub", "--repo-id", "me/net"])
    (finished / "student" / "private.txt").unlink()
    assert done.exit_code == 0, (done.output, done.exception)
    assert f"{hub.endpoint}/me/net" in done.stdout
    arrived = hub.repositories["me/net"]
    there = {path.name: path.read_bytes() for path in (finished / "student").iterdir()}
    assert arrived == there
    assert {"model.safetensors", "model.pt2", "config.json", "README.md"} <= set(arrived)


def test_what_goes_wrong_is_a_sentence(
    hub: Hub, finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    student = sh.load(finished)
    assert student.push_to_hub("me/twice") == f"{hub.endpoint}/me/twice"
    with pytest.raises(RunError, match=r"me/twice was not made: it is there already.*--update"):
        student.push_to_hub("me/twice")
    assert student.push_to_hub("me/twice", update=True) == f"{hub.endpoint}/me/twice"
    with pytest.raises(RunError, match="Repo id"):
        student.push_to_hub("not a name")
    monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    with pytest.raises(RunError, match=r"refused the token \(401\).*hf auth login"):
        student.push_to_hub("me/other")
    monkeypatch.delenv("HF_TOKEN")
    with pytest.raises(RunError, match="there is no token for the hub"):
        student.push_to_hub("me/other")
    monkeypatch.setenv("HF_TOKEN", "hf_right")
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(SystemFault, match="connection to the hub failed"):
        student.push_to_hub("me/other")
    assert set(hub.repositories) == {"me/twice"}


def test_a_connection_lost_amid_the_upload_says_what_is_there(hub: Hub, finished: Path) -> None:
    hub.loses_uploads = True
    with pytest.raises(SystemFault, match="me/lost is there, and the files are not; push again"):
        sh.load(finished).push_to_hub("me/lost")
    hub.loses_uploads = False
    sh.load(finished).push_to_hub("me/lost", update=True)
    assert "config.json" in hub.repositories["me/lost"]
