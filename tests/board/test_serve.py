"""Where the board listens."""

from __future__ import annotations

import socket

import pytest

from board.serve import require_free


def test_a_place_where_nobody_can_listen_is_named_with_its_settings() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ValueError, match=rf"at 127.0.0.1:{port} \(Address already in use.*BREWLINE_BOARD__PORT"):
            require_free("127.0.0.1", port)
    require_free("127.0.0.1", port)
    with pytest.raises(ValueError, match=r"cannot be served at 192.0.2.1:0"):
        require_free("192.0.2.1", 0)
