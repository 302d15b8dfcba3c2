"""Next hops for tests: an aiosmtpd server whose answers a test chooses, as an object in this process."""
# SPDX-License-Identifier: ISC
import asyncio

from aiosmtpd.smtp import SMTP
from troika import EventLoop


class Sink:
    """with Sink() as s: s.port, s.messages (list of (sender, recipients, content bytes))

    answers: functions (what, argument) -> reply string or None, asked for "rcpt" and "data".
    tls: a context: STARTTLS is offered; secure then says of each message whether it came by TLS.
    utf8: SMTPUTF8 is offered; mail_options are the parameters of each message's MAIL.
    """

    def __init__(self, answer=None, port=0, host="127.0.0.1", tls=None, utf8=False):
        self.answer = answer or (lambda what, about: None)
        self.messages = []
        self.sessions = 0
        self.utf8, self.mail_options = utf8, []
        self.tls, self.secure, self.names = tls, [], []
        if tls:
            tls.sni_callback = lambda socket, name, context: self.names.append(name)
        self.host, self.port = host, port

    async def handle_RCPT(self, server, session, envelope, address, options):
        reply = self.answer("rcpt", address)
        if reply:
            return reply
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 ok"

    async def handle_DATA(self, server, session, envelope):
        reply = self.answer("data", envelope)
        if not reply or reply.startswith("2"):
            self.secure.append(session.ssl is not None)
            self.mail_options.append(list(envelope.mail_options))
            self.messages.append((envelope.mail_from, list(envelope.rcpt_tos), envelope.original_content))
        return reply or "250 2.0.0 taken"

    def _factory(self):
        self.sessions += 1
        return SMTP(self, hostname="sink.test", data_size_limit=None, enable_SMTPUTF8=self.utf8, tls_context=self.tls)

    def __enter__(self):
        self.events = EventLoop()

        async def begin():
            return await asyncio.get_running_loop().create_server(self._factory, self.host, self.port)

        try:
            self.server = self.events.run(begin())
        except BaseException:
            self.events.stop()
            raise
        self.port = self.server.sockets[0].getsockname()[1]
        return self

    def __exit__(self, *_):
        self.events.loop.call_soon_threadsafe(self.server.close)
        self.events.stop()
