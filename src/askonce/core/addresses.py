"""Which addresses only this machine can reach."""

from ipaddress import IPv6Address, ip_address


def is_loopback(address: str) -> bool:
    """Return whether an IP address is one of this machine's own; of a name, False."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return False
    mapped = parsed.ipv4_mapped if isinstance(parsed, IPv6Address) else None
    return (mapped or parsed).is_loopback
