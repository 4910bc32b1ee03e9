"""The key schedule of suite aes256gcm, by hand from docs/wire.md alone.

Nothing here uses the product, so that it can be held against it.
"""

from hashlib import sha256
from hmac import digest

__all__ = ["expand", "schedule", "x25519"]

_P = (1 << 255) - 19


def x25519(scalar: bytes, u: bytes = b"\x09" + bytes(31)) -> bytes:
    """Return the scalar multiple of a point (RFC 7748 section 5); no constant time."""
    k = int.from_bytes(scalar, "little")
    k = (k & ((1 << 255) - 8)) | (1 << 254)
    x1 = int.from_bytes(u, "little") & ((1 << 255) - 1)
    x2, z2, x3, z3, swap = 1, 0, x1, 1, 0
    for bit in range(254, -1, -1):
        now = k >> bit & 1
        if swap != now:
            x2, x3, z2, z3 = x3, x2, z3, z2
        swap = now
        a, b, c, d = x2 + z2, x2 - z2, x3 + z3, x3 - z3
        aa, bb, da, cb = a * a, b * b, d * a, c * b
        e = aa - bb
        x3 = (da + cb) ** 2 % _P
        z3 = x1 * (da - cb) ** 2 % _P
        x2 = aa * bb % _P
        z2 = e * (aa + 121665 * e) % _P
    if swap:
        x2, z2 = x3, z3
    return (x2 * pow(z2, _P - 2, _P) % _P).to_bytes(32, "little")


def expand(key: bytes, info: bytes) -> bytes:
    """Return the first 32 bytes of HKDF-Expand (RFC 5869 section 2.3)."""
    return digest(key, info + b"\x01", "sha256")


def schedule(
    *,
    client_secret: bytes,
    server_secret: bytes,
    session_key: bytes,
    handshake: list[bytes],
) -> dict[str, str]:
    """Return every value from the secrets to the keys, in hexadecimal.

    Args:
        client_secret: The client's X25519 secret.
        server_secret: The server's.
        session_key: The security context's.
        handshake: The frames in the order of sending; those that are not HELLO (1) or
            TOKEN (2) are passed over.
    """
    transcript = sha256()
    for frame in handshake:
        if frame[0] in (1, 2):
            transcript.update(frame)
    t = transcript.digest()
    x = x25519(client_secret, x25519(server_secret))
    length = len(session_key).to_bytes(2, "big")
    prk = digest(t, length + session_key + x, "sha256")
    values = {
        "client_secret": client_secret,
        "client_public": x25519(client_secret),
        "server_secret": server_secret,
        "server_public": x25519(server_secret),
        "x": x,
        "session_key": session_key,
        "t": t,
        "prk": prk,
    }
    for way in ("c2s", "s2c"):
        for level in ("sign", "seal"):
            key = expand(prk, f"signetrpc1 aes256gcm {way} {level}".encode())
            values[f"{way} {level}"] = key
            values[f"{way} {level} after rekey"] = expand(key, b"signetrpc1 rekey")
    return {name: value.hex() for name, value in values.items()}
