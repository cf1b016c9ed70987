"""Answers nodes that boot with a script for iPXE, with the standard library and svcauth. For each it asks SMD what the
node is, with a token that svcauth looks after.

    boot_scripts.py svcauth.json http://smd:27779 [127.0.0.1:27778]

The application is any WSGI server's: `gunicorn "boot_scripts:application('svcauth.json', 'http://smd:27779')"`.
"""

from __future__ import annotations

import json
import logging
import signal
import sys
import threading
import urllib.error
from collections.abc import Callable, Iterable
from http import HTTPStatus
from socketserver import ThreadingMixIn
from typing import Any
from urllib.parse import parse_qs, quote
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import svcauth

Answer = tuple[int, dict[str, str], bytes]


class BootScripts:
    """The service. Its calls to SMD say nothing about tokens, only who asks for them."""

    def __init__(self, client: svcauth.Client, smd: str) -> None:
        self.client = client
        self.smd = smd

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        status, headers, body = self.answer(environ)
        headers["Content-Length"] = str(len(body))
        start_response(f"{status} {HTTPStatus(status).phrase}", list(headers.items()))
        return [body]

    def answer(self, environ: dict[str, Any]) -> Answer:
        routes = {
            "/boot/v1/bootscript": self.boot_script,
            "/boot/v1/bootparameters": self.boot_parameters,
            "/boot/v1/service/status": self.status,
            "/debug/vars": self.counters,
        }
        route = routes.get(environ["PATH_INFO"])
        if route is None:
            return text(404, "no such page\n")
        try:
            return route(parse_qs(environ["QUERY_STRING"]).get("host", [""])[0])
        except urllib.error.HTTPError as answered:
            with answered:
                return text(answered.code, f"SMD answered {answered.code}\n")
        except svcauth.UserTokenMissing as missing:
            return text(401, f"{missing}\n")
        except svcauth.Error as none:
            status, headers, body = text(503, f"{none}\n")
            return status, {**headers, "Retry-After": "1"}, body
        except OSError as error:
            return text(502, f"SMD cannot be asked: {error}\n")

    def boot_script(self, name: str) -> Answer:
        node = self.component(name)
        kernel = f"nid={node['NID']} xname={node['ID']} role={node['Role']}"
        return text(200, f"#!ipxe\nkernel http://boot/kernel {kernel}\nboot\n")

    # Only for users: without one's token SMD is not asked, in nobody's name.
    @svcauth.require_user
    def boot_parameters(self, name: str) -> Answer:
        parameters = {"hosts": [self.component(name)["ID"]], "params": "console=ttyS0"}
        return 200, {"Content-Type": "application/json"}, json.dumps(parameters).encode()

    def status(self, _: str) -> Answer:
        """For probes: 503 while a token is missing."""
        return text(200, "ready\n") if self.client.healthy() else text(503, "there is no token\n")

    def counters(self, _: str) -> Answer:
        told = {"svcauth": self.client.stats()._asdict(), "python": sys.version}
        return 200, {"Content-Type": "application/json"}, json.dumps(told).encode()

    def component(self, name: str) -> dict[str, Any]:
        url = f"{self.smd}/hsm/v2/State/Components/{quote(name, safe='')}"
        with svcauth.urlopen(self.client, url) as response:
            found: dict[str, Any] = json.load(response)
            return found


def text(status: int, content: str) -> Answer:
    return status, {"Content-Type": "text/plain; charset=utf-8"}, content.encode()


class Lines(logging.Formatter):
    """A line of JSON for each of svcauth's events, with the members that it has."""

    usual = frozenset(vars(logging.makeLogRecord({})))

    def format(self, record: logging.LogRecord) -> str:
        told = {name: value for name, value in vars(record).items() if name not in self.usual}
        return json.dumps(
            {"time": record.created, "level": record.levelname, **(told or {"message": record.getMessage()})}
        )


def application(config: str, smd: str) -> Callable[..., Iterable[bytes]]:
    """The application, with a client of its own."""
    handler = logging.StreamHandler()
    handler.setFormatter(Lines())
    logging.getLogger("svcauth").addHandler(handler)
    logging.getLogger("svcauth").setLevel(logging.INFO)
    client = svcauth.Client.open(config)
    # A node that boots has no user; where there is one, the user's token goes along to SMD.
    return svcauth.wsgi.PassUser(BootScripts(client, smd))


class Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True
    request_queue_size = 128


class Quiet(WSGIRequestHandler):
    def log_message(self, *_: Any) -> None:
        pass


def main(config: str, smd: str, address: str = "127.0.0.1:27778") -> None:
    host, _, port = address.rpartition(":")
    with make_server(host, int(port), application(config, smd), Server, Quiet) as server:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: threading.Thread(target=server.shutdown).start())
        print(f"listening on http://{host}:{server.server_port}", flush=True)
        server.serve_forever()


if __name__ == "__main__":
    if len(sys.argv) not in (3, 4):
        sys.exit("usage: boot_scripts.py CONFIGURATION SMD-URL [ADDRESS:PORT]")
    try:
        main(*sys.argv[1:])
    except svcauth.Error as error:
        sys.exit(f"{error}")
