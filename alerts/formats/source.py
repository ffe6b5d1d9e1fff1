"""Where the event came from that decided an alert: its address, as formats that know only addresses need it."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import IPv4Address, IPv6Address, ip_address


def source_ip(labels: Mapping[str, str]) -> IPv4Address | IPv6Address | None:
    """None where there is none, or what the log calls so is the name of a host. Of ::ffff:10.0.0.1 it is 10.0.0.1."""
    try:
        ip = ip_address(labels.get("client_ip", ""))
    except ValueError:
        return None
    return (ip.ipv4_mapped or ip) if isinstance(ip, IPv6Address) else ip
