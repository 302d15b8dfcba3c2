// tests/compose/read_message.js - a message on standard input as mailparser reads it, in JSON.
// argv: the folder of its module.
// SPDX-License-Identifier: ISC
const { simpleParser } = require(process.argv[2] + '/mailparser');

const people = (field) => !field ? [] : [].concat(field).flatMap((f) => f.value).flatMap((a) => a.group ? a.group : [a]).map((a) => [a.name, a.address]);

simpleParser(process.stdin, { skipHtmlToText: true, skipTextToHtml: true, skipImageLinks: true }).then((m) => {
  process.stdout.write(JSON.stringify({
    subject: m.subject,
    from: people(m.from),
    to: people(m.to),
    date: m.date,
    message_id: m.messageId,
    text: m.text,
    html: m.html,
    attachments: m.attachments.map((a) => ({
      type: a.contentType,
      name: a.filename,
      disposition: a.contentDisposition,
      cid: a.cid,
      related: Boolean(a.related),
      content: a.content.toString('base64'),
    })),
  }));
}).catch((e) => { console.error(e); process.exit(1); });
