"""TLS over any pipe, itself a pipe.

Bytes are encrypted where they are written and decrypted where they arrive, so the two
promises of a pipe hold over TLS too: `write` never waits, which leaves no gap in which
a cancellation could fall, and in push mode a chunk is opened in the callback.

How a TLS stream ends tells nothing here: truncation is found by the session's CLOSE.
"""

import ssl
from typing import Final

from ._loops import Loop
from ._pipes import Pipe, Receiver, broken
from .errors import AuthenticationFailed, ConnectionClosed, FailureReason

__all__ = ["PipeOverTls"]

_AT_ONCE: Final = 64 * 1024

# How TLS 1.3 says that a client's certificate is not good: after the client took the
# handshake for finished (RFC 8446 section 4.4.2.4).
_REFUSALS: Final = ("CERTIFICATE", "UNKNOWN_CA", "ACCESS_DENIED", "HANDSHAKE_FAILURE")


class PipeOverTls(Pipe):
    """A pipe whose bytes TLS carries over another.  Use `shake_hands` first."""

    def __init__(
        self,
        pipe: Pipe,
        context: ssl.SSLContext,
        *,
        server_side: bool,
        hostname: str | None = None,
    ) -> None:
        """Lay TLS over a pipe, which it then owns.

        Raises:
            ValueError: The host name is none.
        """
        self._pipe = pipe
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls = context.wrap_bio(
            self._incoming, self._outgoing, server_side, hostname
        )
        self._receiver: Receiver | None = None
        self._heard = False
        self._unread = 0
        self._eof = False
        self._lost: ConnectionClosed | AuthenticationFailed | None = None

    @property
    def peer_certificate(self) -> bytes | None:
        """The peer's certificate, DER; None if it gave none."""
        return self._tls.getpeercert(binary_form=True)

    async def shake_hands(self) -> None:
        """Do the TLS handshake.  If it fails, the peer is told before this raises.

        Raises:
            ssl.SSLError: It failed.
            ConnectionClosed: The peer went away.
        """
        while True:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                pass
            except ssl.SSLError:
                self._flush()
                raise
            else:
                self._flush()
                await self._pipe.drain()
                return
            self._flush()
            await self._pipe.drain()
            data = await self._pipe.receive()
            if not data:
                raise ConnectionClosed(
                    "the connection ended during the TLS handshake", clean=False
                )
            self.first_bytes(data)
            self._incoming.write(data)

    def first_bytes(self, data: bytes) -> None:
        """Look at what the peer says in the handshake, before TLS does."""

    def _flush(self) -> None:
        if self._outgoing.pending:
            self._pipe.write(self._outgoing.read())

    def write(self, data: bytes) -> None:
        """Encrypt and hand over; never waits.  A broken pipe swallows it."""
        if not data or self._lost is not None:
            return
        try:
            self._tls.write(data)
        except ssl.SSLError as error:
            self._lose(error)
        self._flush()

    @property
    def congested(self) -> bool:
        """True while the pipe below is."""
        return self._pipe.congested

    async def drain(self) -> None:
        """Wait until the pipe below has room."""
        await self._pipe.drain()
        if self._lost is not None:
            raise self._lost

    async def receive(self) -> bytes:
        """Return the next bytes, or b"" at the end.

        Raises:
            ConnectionClosed: The pipe broke, or somebody changed what it carries.
            AuthenticationFailed: The server does not take this end's certificate.
        """
        while not self._eof:
            # First: the handshake's last chunk can have brought more than its end.
            if plaintext := self._open():
                return plaintext
            if self._lost is not None:
                raise self._lost
            if not self._eof:
                self._feed(await self._pipe.receive())
        return b""

    def _feed(self, data: bytes) -> None:
        if data:
            self._incoming.write(data)
        else:
            self._incoming.write_eof()

    def _open(self) -> bytes:
        """Decrypt what is complete of all that came."""
        chunks: list[bytes] = []
        try:
            while chunk := self._tls.read(_AT_ONCE):
                chunks.append(chunk)
            self._eof = True  # as `read` says it where the peer closed in order
        except ssl.SSLWantReadError:
            pass
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
            self._eof = True
        except ssl.SSLError as error:
            self._lose(error)
        self._answer()
        self._heard = self._heard or bool(chunks)
        return b"".join(chunks)

    def _answer(self) -> None:
        """Send what TLS itself has to say, such as new keys or an alert."""
        if not self._pipe.congested:
            self._unread = 0
        self._unread += self._outgoing.pending
        self._flush()
        if self._unread > _AT_ONCE and self._lost is None:
            # Each request for new keys is answered, and nobody counts them but we.
            self._lost = ConnectionClosed(
                "the peer asks for TLS messages that it does not read", clean=False
            )

    def _lose(self, error: ssl.SSLError) -> None:
        if self._lost is not None:
            return
        reason = error.reason or ""
        refused = "ALERT" in reason and any(word in reason for word in _REFUSALS)
        if refused and not self._heard and not self._tls.server_side:
            self._lost = AuthenticationFailed(
                f"the server refuses this end's certificate: {reason}",
                reason=FailureReason.REFUSED,
            )
            self._lost.__cause__ = error
        else:
            self._lost = broken(error)

    def start_receiving(self, loop: Loop, receiver: Receiver) -> None:
        """Give every chunk to `receiver`, opened, from now on."""
        self._receiver = receiver
        self.data_received(b"")  # what came with the end of the handshake
        self._pipe.start_receiving(loop, self)

    def data_received(self, data: bytes, /) -> None:
        """Take a chunk of the pipe below."""
        receiver = self._receiver
        if receiver is None or self._eof or self._lost is not None:
            return
        self._incoming.write(data)
        if plaintext := self._open():
            receiver.data_received(plaintext)
        if self._eof or self._lost is not None:
            self._tell_end(receiver)

    def pipe_ended(self, error: ConnectionClosed | None, /) -> None:
        """Note that the pipe below ended."""
        if self._lost is None:
            self._lost = error
        if self._receiver is not None:
            self._tell_end(self._receiver)

    def _tell_end(self, receiver: Receiver) -> None:
        self._receiver = None
        lost = self._lost
        if isinstance(lost, AuthenticationFailed):
            lost = broken(lost)
        receiver.pipe_ended(lost)

    def pause_receiving(self) -> None:
        """Take nothing more from the peer for now."""
        self._pipe.pause_receiving()

    def resume_receiving(self) -> None:
        """Go on taking."""
        self._pipe.resume_receiving()

    async def aclose(self, *, linger: bool = True) -> None:
        """Say that nothing more comes, send what is kept and close."""
        if self._lost is None:
            self._lost = broken(None)
            try:
                self._tls.unwrap()
            except (ssl.SSLError, ValueError):
                pass  # it is said; the peer's answer is not waited for
            self._flush()
        await self._pipe.aclose(linger=linger)

    def abort(self) -> None:
        """Close at once."""
        self._pipe.abort()
