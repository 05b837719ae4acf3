"""TensorBoard as NNI's button starts it, for those alone whom `nni_access.cjs` lets ask NNI too.

``python -m trials.nni_host.tensorboard_access ARGUMENTS`` stands in for ``tensorboard ARGUMENTS``.
"""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(:\d+)?")


def refusal(asked: Mapping[str, Any], listens: str, named: Iterable[str]) -> str | None:
    """Return why a request is refused, by its variables of WSGI; None: it is not.

    `listens` is the address that is open beside loopback, `named` are further names of this machine.
    """
    host, origin = str(asked.get("HTTP_HOST", "")).lower(), asked.get("HTTP_ORIGIN")
    if not _known(host, listens, named):
        return (
            f'Host "{host}" is not known here: open 127.0.0.1 or localhost, or start with --allow-host and '
            "that name"
        )
    if origin is not None and not _own_origin(str(origin).lower(), host, named):
        return f'a page of "{origin}" may not ask here: behind a proxy start with --allow-host and its name'
    site, shown_as = asked.get("HTTP_SEC_FETCH_SITE"), asked.get("HTTP_SEC_FETCH_DEST")
    if site in ("cross-site", "same-site") and shown_as != "document":
        return "a page of another site may not ask here"
    return None


def _known(host: str, listens: str, named: Iterable[str]) -> bool:
    found = _HOST.fullmatch(host)
    if not found:
        return False
    name = found[1]
    try:
        address = ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return name in ("localhost", listens, *named)
    return address.is_loopback or name in (listens, *named) or listens != "127.0.0.1"


def _own_origin(origin: str, host: str, named: Iterable[str]) -> bool:
    try:
        parts = urlsplit(origin)
        usual = {"http": ":80", "https": ":443"}.get(parts.scheme, "")
        return parts.netloc == host.removesuffix(usual) or parts.hostname in set[str | None](named)
    except ValueError:
        return False


def guarded(app: WSGIApplication, listens: str, named: Iterable[str]) -> WSGIApplication:
    """Return the application behind the check."""

    def answer(asked: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        reason = refusal(asked, listens, named)
        if reason is None:
            return app(asked, start_response)
        start_response("403 Forbidden", [("Content-Type", "text/plain; charset=utf-8")])
        return [f"lesion-nas: {reason}\n".encode()]

    return answer


def main() -> None:
    """Run TensorBoard as its own command does."""
    from absl import app
    from tensorboard import default, main_lib, program  # type: ignore[import-untyped]

    listens = os.environ.get("LESION_NAS_LISTEN") or "127.0.0.1"
    named = os.environ.get("LESION_NAS_HOSTS", "").lower().split()

    class Server(program.WerkzeugServer):
        """TensorBoard's own server, behind the check."""

        def __init__(self, wsgi_app: WSGIApplication, flags: Any) -> None:
            super().__init__(guarded(wsgi_app, listens, named), flags)

    main_lib.global_init()
    board = program.TensorBoard(plugins=default.get_plugins(), server_class=Server)
    app.run(board.main, flags_parser=board.configure)


if __name__ == "__main__":
    main()
