"""Addresses: where browsers find the viewer, and who else can."""


def is_local(host: str) -> bool:
    """Whether an address can be reached from this machine only."""
    return host in ("127.0.0.1", "localhost", "::1")


def address(host: str, port: int) -> str:
    """Where to look, and who else can."""
    if is_local(host):
        return f"viewer at http://{host}:{port} (only from this machine; elsewhere: ssh -L {port}:127.0.0.1:{port} ...)"
    return (
        f"viewer at http://{host}:{port}\n"
        f"warning: {host} is open to others: everyone who can reach this machine's port {port} sees the scene and its photos, "
        "and can edit and save in the viewer. There is no password; where that matters, listen on 127.0.0.1 and use an SSH "
        "tunnel."
    )
