/* Files in, errors or values out. */
// SPDX-License-Identifier: ISC
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "base/clock.h"
#include "config/parse.h"
#include "config/value.h"

static bool providers(struct arena *a, struct providers *ret, struct buf *error)
{
    static const char text[] = "provider   yandex\n"
                               "  title    Yandex\n"
                               "  also     ya\n"
                               "  domains  yandex.ru ya.ru\n"
                               "  smtp     smtp.yandex.ru:465 tls\n"
                               "  login    name\n"
                               "  limit    6 messages an hour\n"
                               "  limit    150 messages a day\n"
                               "  limit    500 recipients a day\n"
                               "  limit    35 recipients a message\n"
                               "  source   2026-11-27 texts\n"
                               "provider   odd\n"
                               "  title    Odd\n"
                               "  smtp     192.0.2.9:2465 tls\n"
                               "  login    word apikey\n"
                               "  limit    50 messages in 15 minutes\n"
                               "  source   2026-11-27 texts\n"
                               "provider   tokens\n"
                               "  title    Tokens\n"
                               "  smtp     smtp.tokens.test:587 starttls\n"
                               "  login    address\n"
                               "  oauth    only\n"
                               "  source   2026-11-27 texts\n"
                               "provider   fetcher\n"
                               "  title    Fetcher\n"
                               "  imap     imap.fetcher.test:993 tls\n"
                               "  login    address\n"
                               "  source   2026-11-27 texts\n";

    return providers_parse(a, STR(text), "providers.conf", NULL, ret, error);
}

static bool parse(const char *text, const char *system_name, struct config **ret,
                  struct buf *errors)
{
    struct sock_address own[2];
    sock_address_parse(STR("192.0.2.7:0"), own);
    struct machine machine = {.hostname = str_c(system_name),
                              .addresses = own,
                              .address_count = 1,
                              .providers = providers};
    return config_parse(str_c(text), STR("/etc/troika/t.conf"), &machine, ret, errors);
}

#define OPEN "relay-for = { "
#define LISTEN "listen smtp { address = { \"*:25\" } }\n"

static const struct {
    const char *text, *errors;
} cases[] = {
    {LISTEN, ""},
    {"", "t.conf: warning: listen: there is none, so no client can connect; write listen smtp { "
         "address = { \"*:25\" } }\n"},
    /* unknown statements: all of them, with what was meant */
    {LISTEN "hostnam = x\nretri = { \"5m\" }\nimap {\n certificate = \"x\"\n}\nzzzzzz = 1\n",
     "t.conf:2: hostnam: unknown statement; did you mean hostname?\n"
     "t.conf:3: retri: unknown statement; did you mean retry?\n"
     "t.conf:4: imap: unknown statement; troika.conf(5) lists them all\n"
     "t.conf:7: zzzzzz: unknown statement; troika.conf(5) lists them all\n"},
    {"listen smtp {\n address = { \"*:25\" }\n smtp-port = 25\n hostname = \"a.b\"\n}\n"
     "address = \"*:26\"\naccounts=yes\n",
     "t.conf:3: smtp-port: does not belong here; write it inside of dns\n"
     "t.conf:4: hostname: does not belong in a section; write it outside of listen\n"
     "t.conf:6: address: does not belong here; write it inside of listen\n"
     "t.conf:7: accounts: does not belong here; write it inside of domain\n"},
    /* logins elsewhere */
    {LISTEN "smarthost \"192.0.2.1:1\" { login = 'me' }\n",
     "t.conf:2: smarthost: \"192.0.2.1:1\" has a login but no password-file; write password-file = "
     "\"/etc/troika/password\", a file with the password in its first line\n"},
    {LISTEN "route a.test { via = \"192.0.2.1:1\" password-file = \"/p\" }\n",
     "t.conf:2: route: \"192.0.2.1:1\" has a password-file but no login; write login = "
     "\"me@example.org\"\n"},
    {LISTEN "smarthost \"192.0.2.1:465\" { login = 'me@a.test' password-file = \"/p\"\n"
            "limit = { \"20/hour\", \"150/day\", \"1/minute\", \"50/15m\" } recipient-limit = "
            "\"5/second\" }\n",
     ""},
    {LISTEN "smarthost \"192.0.2.1:1\" { login = 'me' password-file = \"/p\"\n tls = required }\n"
            "route a.test { via = \"192.0.2.2:1\" login = 'me' password-file = \"/p\"\n"
            "tls = off }\n",
     "t.conf:3: warning: tls: DANGER: with tls = required the certificate is not judged, so "
     "whoever stands in between gets the password; only for a private network\n"
     "t.conf:5: warning: tls: DANGER: with tls = off the password goes over the network as plain "
     "text, to whoever listens; only for a private network\n"},
    {LISTEN "smarthost \"192.0.2.1:1\" { login = 'me' password-file = \"/p\" }\n"
            "route a.test { via = \"192.0.2.1:1\" login = 'you' password-file = \"/p\" }\n",
     "t.conf:2: smarthost: the route of line 3 leads to \"192.0.2.1:1\", too, with another login; "
     "say the same in both\n"},
    {LISTEN "smarthost \"192.0.2.1:465\" {\n tls = off\n}\n",
     "t.conf:3: tls: off contradicts implicit-tls, which port 465 means; write another port, or "
     "implicit-tls = no\n"},
    {LISTEN "smarthost \"192.0.2.1:1\" {\n login = 'a b'\n limit = { \"5\", \"x/day\" }\n"
            " recipient-limit = \"5/2h\"\n password-file = password }\n",
     "t.conf:3: login: \"a b\" is no login; write what you are called there, without blanks\n"
     "t.conf:4: limit: \"5\" is no rate; write 20/hour, 150/day, 1/minute or 50/15m\n"
     "t.conf:5: recipient-limit: \"5/2h\" is no rate; write 20/hour, 150/day, 1/minute or 50/15m\n"
     "t.conf:6: password-file: \"password\" is no absolute path; write one that begins with / and "
     "has no .. in it\n"},
    /* providers */
    {LISTEN "smarthost yandex { login = \"me@ya.ru\" password-file = \"/p\" }\n", ""},
    {LISTEN "smarthost yandx { }\n",
     "t.conf:2: warning: smarthost: \"yandx\" is no provider that `troika providers` knows, so it "
     "is taken for a host of this network, with port 25; for a host write the port as well\n"},
    {LISTEN "smarthost \"yandex:25\" { }\n", ""},
    {LISTEN "smarthost tokens { }\n",
     "t.conf:2: smarthost: \"tokens\" takes no passwords any more, only tokens of OAuth 2, which a "
     "server cannot renew by itself; send through another one\n"},
    {LISTEN "smarthost fetcher { }\n",
     "t.conf:2: smarthost: nothing is known of a server of \"fetcher\"; write host and port\n"},
    /* TLS with other servers */
    {LISTEN
     "tls {\n outgoing = required\n roots = \"/etc/roots.pem\"\n}\nsmarthost \"192.0.2.1:1\" "
     "{ tls = default }\nroute a.test { via = \"192.0.2.1:1\" tls = off }\n",
     ""},
    {LISTEN "tls { outgoing = default }\nsmarthost \"192.0.2.1:1\" { tls = yes }\n"
            "tls { outgoing = off }\n",
     "t.conf:2: outgoing: \"default\" is not known here; write one of: off opportunistic required\n"
     "t.conf:3: tls: \"yes\" is not known here; write one of: default off opportunistic required "
     "verified\n"
     "t.conf:4: tls: there is one already in line 2; there can be only one\n"},
    /* repeated */
    {LISTEN "# a comment\nhold = yes\n/* two\nlines */ hold = no\n",
     "t.conf:5: hold: was already said in line 3; write it once\n"},
    {LISTEN OPEN "\"10.0.0.0/8\" }\n" OPEN "\"10.1.0.0/16\",\n \"::1\" }\n",
     "t.conf:3: relay-for: was already said in line 2; write it once, as { ONE, ANOTHER }\n"},
    {LISTEN OPEN "\"10.0.0.0/8\" }\nrelay-for += { \"::1\" }\n", ""},
    {LISTEN "domain \"a.test\" { }\ndomain \"b.test\" {\n accounts = no\n}\n\ndomain \"a.test\" "
            "{\n}\nstrict = maybe\n",
     "t.conf:7: domain: \"a.test\" was already said in line 2; write it once\n"
     "t.conf:9: strict: \"maybe\" is neither yes nor no\n"},
    {LISTEN "domain a.test { }\ndomain A.Test { }\n",
     "t.conf:3: domain: \"a.test\" was already said in line 2; write it once\n"},
    {LISTEN "domain a.test { accounts = yes accounts = no }\ndomain b.test { accounts = no }\n",
     "t.conf:2: accounts: was already said in line 2; write it once\n"},
    {LISTEN "smarthost \"192.0.2.1:25\" { }\nsmarthost \"192.0.2.2:25\" { }\n",
     "t.conf:3: smarthost: there is one already in line 2; there can be only one\n"},
    /* values */
    {LISTEN "hostname = \"mail\"\nstate = \"var\"\nhold = 1\nmessage-size = 5\nrecipients = 10x\n"
            "idle-timeout = 5\nretry = { \"5m\", \"9x\" }\nlog = syslogd\nexpire = 31d\n",
     "t.conf:2: hostname: \"mail\" is no full domain name; write one such as "
     "\"mail.example.org\"\n"
     "t.conf:3: state: \"var\" is no absolute path; write one that begins with / and has no .. in "
     "it\n"
     "t.conf:4: hold: \"1\" is neither yes nor no\n"
     "t.conf:5: message-size: \"5\" is out of range; it goes from 64K to 2G\n"
     "t.conf:6: recipients: \"10x\" is no number; write digits only\n"
     "t.conf:7: idle-timeout: \"5\" is no duration; write a number with s, m, h or d, as in 5m\n"
     "t.conf:8: retry: \"9x\" is no duration; write a number with s, m, h or d, as in 5m\n"
     "t.conf:9: log: \"syslogd\" is not known here; write one of: stderr syslog\n"
     "t.conf:10: expire: \"31d\" is out of range; it goes from 1s to 30d\n"},
    {"listen smtp { address = { \"*:70000\" } }\nlisten \"a b\" { address = \"localhost:25\" }\n",
     "t.conf:1: address: \"*:70000\" has port 70000, which is out of range; ports go from 1 to "
     "65535\n"
     "t.conf:2: listen: \"a b\" is no name; write up to 32 letters, digits and -\n"
     "t.conf:2: address: \"localhost:25\" is no address to listen on; write \"*:25\", "
     "\"127.0.0.1:2525\" or \"[::1]:25\"\n"},
    {LISTEN "route a.test { via = \"192.0.2.1:24\" protocol = lmtp }\n", ""},
    {LISTEN "smarthost \"192.0.2.3:26\" { }\nroute a.test { via = \"192.0.2.1\" protocol = lmtp }\n"
            "route b.test { via = \"192.0.2.2:24\"\n protocol = lmtp }\n"
            "route c.test { via = \"192.0.2.2:24\" }\n"
            "route d.test { via = \"192.0.2.3:26\" protocol = lmtp }\n",
     "t.conf:3: protocol: lmtp is not for port 25, where SMTP is expected; write the port in via, "
     "as "
     "in \"192.0.2.1:24\"\n"
     "t.conf:5: protocol: another statement says that \"192.0.2.2:24\" speaks smtp; say the same "
     "in "
     "both\n"
     "t.conf:7: protocol: another statement says that \"192.0.2.3:26\" speaks smtp; say the same "
     "in "
     "both\n"},
    {"listen a { address = \"*:24\" protocol = lmtp proxy = { \"10.0.0.1\", \"fd00::/8\" } xclient "
     "= "
     "\"127.0.0.1\" }\n",
     ""},
    {"listen a { address = { \"*:24\", \"127.0.0.1:25\" }\n protocol = lmtp }\n",
     "t.conf:2: protocol: lmtp is not for port 25, where SMTP is expected; take another, such as "
     "24\n"},
    {"listen a { address = \"*:26\"\n proxy = { \"0.0.0.0/0\" }\n xclient = { \"10.0.0.0/8\", "
     "\"2000::/3\" } }\n",
     "t.conf:2: proxy: \"0.0.0.0/0\" is a good part of the Internet: strangers could pretend to be "
     "anybody; name your own proxies\n"
     "t.conf:3: xclient: \"2000::/3\" is a good part of the Internet: strangers could pretend to "
     "be "
     "anybody; name your own proxies\n"},
    {LISTEN "listen b { }\nroute r.test {\n}\n",
     "t.conf:2: listen: \"b\" has no address; write listen \"b\" { address = ... }\n"
     "t.conf:3: route: \"r.test\" has no via; write route \"r.test\" { via = ... }\n"},
    {LISTEN
     "domain \"postmaster\" { }\ndomain \"[127.0.0.1]\" { }\nroute \".a..b\" { via = 192.0.2.1 }\n",
     "t.conf:2: domain: \"postmaster\" cannot be a domain: a mailbox has this name\n"
     "t.conf:3: domain: \"[127.0.0.1]\" is no domain name; write one such as \"example.org\"\n"
     "t.conf:4: route: \".a..b\" is no domain name; write \"example.org\", or \".example.org\" for "
     "everything below it\n"},
    {LISTEN "route a.test { via = \"host:0\" }\nroute b.test { via = \"1.2.3:25\" }\n"
            "smarthost \"[1::2::3]:25\" { }\n",
     "t.conf:2: via: \"host:0\" has no valid port; ports go from 1 to 65535\n"
     "t.conf:3: via: \"1.2.3:25\" is no server; write host and port, as in \"mx.example.org:25\", "
     "\"192.0.2.1:25\" or \"[2001:db8::1]:25\"\n"
     "t.conf:4: smarthost: \"[1::2::3]:25\" is no server; write host and port, as in "
     "\"mx.example.org:25\", \"192.0.2.1:25\" or \"[2001:db8::1]:25\"\n"},
    {LISTEN "route a.test { via = \"mx.partner.test:25\" }\n", ""},
    /* logins */
    {LISTEN "domain a.test { accounts = no }\ndomain b.test { }\nlogin-domain = b.test\n", ""},
    {LISTEN "domain a.test { accounts = no }\ndomain b.test { }\nlogin-domain = a.test\n",
     "t.conf:4: login-domain: \"a.test\" is no domain with accounts here; name one that is\n"},
    {LISTEN "listen b { address = \"*:2587\" auth = maybe }\n",
     "t.conf:2: auth: \"maybe\" is not known here; write one of: off optional required\n"},
    /* a section without a title */
    {LISTEN "dns { }\nlisten dns { address = \"*:26\" }\n", ""},
    {LISTEN "dns {\n forward = { \"192.0.2.53\", \"host\", \"192.0.2.53@0\" }\n"
            " trust-anchor = \"root.key\"\n via = x\n}\nsmtp-port = 25\n",
     "t.conf:3: forward: \"host\" is no resolver; write an address, maybe with a port, as in "
     "\"192.0.2.53\" or \"192.0.2.53@5353\"\n"
     "t.conf:4: trust-anchor: \"root.key\" is no absolute path; write one that begins with / and "
     "has no .. in it\n"
     "t.conf:5: via: does not belong here; write it inside of route\n"
     "t.conf:7: smtp-port: does not belong here; write it inside of dns\n"},
    {LISTEN "dns { }\nhold = x\n\ndns { smtp-port = 26 }\n",
     "t.conf:3: hold: \"x\" is neither yes nor no\n"
     "t.conf:5: dns: there is one already in line 2; there can be only one\n"},
    {LISTEN "dns \"x\" { }\nhold = x\n", "t.conf:2: dns: { is missing; write dns { ... }\n"
                                         "t.conf:3: hold: \"x\" is neither yes nor no\n"},
    /* TLS for clients */
    {LISTEN "tls { certificate = /c.pem key = /k.pem level = modern client-roots = /r.pem }\n"
            "listen s { address = \"*:465\" tls = implicit client-certificates = yes }\n"
            "certificate \"Mail.Example.net\" { chain = /c2.pem key = /k2.pem }\n",
     ""},
    {LISTEN "tls {\n certificate = /c.pem\n}\n",
     "t.conf:2: tls: has a certificate but no key; name both files\n"},
    {LISTEN "tls { key = /k.pem }\n",
     "t.conf:2: tls: has a key but no certificate; name both files\n"},
    {LISTEN "listen s {\n address = \"*:465\"\n tls = implicit\n}\n"
            "listen t { address = \"*:587\" tls = required }\n",
     "t.conf:4: tls: \"implicit\" needs a certificate; name one with tls { certificate = ... key = "
     "... }\n"
     "t.conf:6: tls: \"required\" needs a certificate; name one with tls { certificate = ... key = "
     "... }\n"},
    {LISTEN "certificate a.test { chain = /c.pem key = /k.pem }\n",
     "t.conf:2: certificate: is for clients that ask for its name; name the certificate for "
     "everybody else with tls { certificate = ... key = ... }\n"},
    {LISTEN "tls { certificate = /c.pem key = /k.pem level = old }\n"
            "certificate a.test { chain = /c.pem }\n",
     "t.conf:2: level: \"old\" is not known here; write one of: intermediate modern\n"
     "t.conf:3: certificate: \"a.test\" has no key; write certificate \"a.test\" { key = ... }\n"},
    /* between statements */
    {"listen a { address = { \"*:25\", \"[::1]:25\" } }\nlisten b {\n address = \"127.0.0.1:25\" "
     "}\n",
     "t.conf:1: address: \"[::1]:25\" is already taken by \"*:25\" of line 1; listen on it once\n"
     "t.conf:3: address: \"127.0.0.1:25\" is already taken by \"*:25\" of line 1; listen on it "
     "once\n"},
    {"listen a { address = { \"127.0.0.1:25\", \"127.0.0.1:26\", \"127.0.0.2:25\" } }\n", ""},
    {LISTEN "domain a.test { }\nroute A.test { via = \"192.0.2.9:25\" }\n"
            "route mail.example.org { via = \"192.0.2.9:25\" }\nroute .a.test { via = "
            "\"192.0.2.1:25\" }\n",
     "t.conf:3: route: \"a.test\" is a local domain (line 2), its mail stays here; take out one of "
     "the two\n"
     "t.conf:4: route: \"mail.example.org\" is the name of this server, its mail stays here; take "
     "the route out\n"},
    {LISTEN "route a.test { via = \"127.0.0.1:25\" }\nroute b.test { via = \"127.0.0.1:26\" }\n"
            "route c.test { via = \"192.0.2.7\" }\nroute d.test { via = \"Mail.example.org:25\" }\n"
            "route e.test {\n via = \"localhost:25\" }\nroute f.test { via = \"0.0.0.0:25\" }\n"
            "route g.test { via = \"[::ffff:127.0.0.1]:25\" }\nsmarthost \"[::1]:25\" { }\n",
     "t.conf:2: via: \"127.0.0.1:25\" would relay to itself: line 1 listens there on \"*:25\"; "
     "name another server\n"
     "t.conf:4: via: \"192.0.2.7:25\" would relay to itself: line 1 listens there on \"*:25\"; "
     "name another server\n"
     "t.conf:5: via: \"mail.example.org:25\" would relay to itself: line 1 listens there on "
     "\"*:25\"; name another server\n"
     "t.conf:7: via: \"localhost:25\" would relay to itself: line 1 listens there on \"*:25\"; "
     "name another server\n"
     "t.conf:8: via: \"0.0.0.0:25\" would relay to itself: line 1 listens there on \"*:25\"; name "
     "another server\n"
     "t.conf:9: via: \"[::ffff:127.0.0.1]:25\" would relay to itself: line 1 listens there on "
     "\"*:25\"; name another server\n"
     "t.conf:10: smarthost: \"[::1]:25\" would relay to itself: line 1 listens there on \"*:25\"; "
     "name another server\n"},
    {"listen a { address = \"127.0.0.1:2525\" }\nroute a.test { via = \"127.0.0.2:2525\" }\n"
     "route b.test { via = \"localhost:2525\" }\nroute c.test { via = \"192.0.2.7:2525\" }\n",
     "t.conf:3: via: \"localhost:2525\" would relay to itself: line 1 listens there on "
     "\"127.0.0.1:2525\"; name another server\n"},
    /* no open relay */
    {LISTEN OPEN "\"0.0.0.0/0\" }\n",
     "t.conf:2: relay-for: \"0.0.0.0/0\" is everybody: strangers could send to everywhere through "
     "this server, an open relay; name your own networks\n"},
    {LISTEN OPEN "\"::/0\", \"0.0.0.0/1\", \"::ffff:0:0/96\", \"2000::/3\" }\n",
     "t.conf:2: relay-for: \"::/0\" is everybody: strangers could send to everywhere through this "
     "server, an open relay; name your own networks\n"
     "t.conf:2: relay-for: \"0.0.0.0/1\" is a good part of the Internet: strangers could send to "
     "everywhere through this server; name your own networks, /8 at the widest\n"
     "t.conf:2: relay-for: \"0.0.0.0/0\" is everybody: strangers could send to everywhere through "
     "this server, an open relay; name your own networks\n"
     "t.conf:2: relay-for: \"2000::/3\" is a good part of the Internet: strangers could send to "
     "everywhere through this server; name your own networks, /16 at the widest\n"},
    {LISTEN OPEN "\"*\", all }\n",
     "t.conf:2: relay-for: \"*\" is no network; write one such as \"192.0.2.0/24\", "
     "\"2001:db8::/32\" or a single address\n"},
    {LISTEN OPEN "\"10.0.0.0/8\", \"fc00::/7\", \"::1\", \"127.0.0.1\" }\n", ""},
    /* slips of syntax: the rest is still checked */
    {LISTEN "hostname \"a.test\"\nhold = perhaps\n",
     "t.conf:2: hostname: = is missing; write hostname = VALUE\n"
     "t.conf:3: hold: \"perhaps\" is neither yes nor no\n"},
    {LISTEN "hold\nstrict = yes\nlog = x\n",
     "t.conf:2: hold: = is missing; write hold = VALUE\n"
     "t.conf:4: log: \"x\" is not known here; write one of: stderr syslog\n"},
    {LISTEN "hostname = { \"a.test\" }\nretry = { 1m 2m }\nhold += yes\nlog = x\n",
     "t.conf:2: \"{\" is not expected here; write NAME = VALUE, NAME = { VALUE, VALUE } or NAME "
     "\"TITLE\" { ... }\n"
     "t.conf:3: \"2m\" is not expected here; write NAME = VALUE, NAME = { VALUE, VALUE } or NAME "
     "\"TITLE\" { ... }\n"
     "t.conf:4: hold: takes one value; write hold = VALUE\n"
     "t.conf:5: log: \"x\" is not known here; write one of: stderr syslog\n"},
    {LISTEN "domain { accounts = yes }\ndomain x.test\nhold = x\n",
     "t.conf:2: domain: its title is missing; write domain \"TITLE\" { ... }\n"
     "t.conf:3: domain: { is missing; write domain \"TITLE\" { ... }\n"
     "t.conf:4: hold: \"x\" is neither yes nor no\n"},
    /* what libconfuse would swallow */
    {"listen smtp { address = *:25 }\nhold = x\n",
     "t.conf:1: a * outside of quotes; write it in quotes, as in \"*:25\"\n"
     "t.conf:2: hold: \"x\" is neither yes nor no\n"},
    {LISTEN "hostname = \"a.test\nhold = x\nstate = \"${HOME}\"\nlog = ${LOG}\nstate='/a${b}'\n",
     "t.conf:2: a quote is opened and not closed on this line\n"
     "t.conf:3: hold: \"x\" is neither yes nor no\n"
     "t.conf:4: ${...} is not replaced here; write the value itself\n"
     "t.conf:5: ${...} is not replaced here; write the value itself\n"
     "t.conf:6: state: was already said in line 4; write it once\n"},
    {LISTEN "state = \"/a\\b\"\nhold = x\n",
     "t.conf:2: a backslash means nothing in \"...\"; put the text in '...'\n"
     "t.conf:3: hold: \"x\" is neither yes nor no\n"},
    {LISTEN "hold = x\n/* never\nclosed\n",
     "t.conf:2: hold: \"x\" is neither yes nor no\n"
     "t.conf:3: the comment that begins here is never closed; end it with */\n"},
    {LISTEN "hold = x\ndomain \"a.test\" {\n accounts = yes\n",
     "t.conf:2: hold: \"x\" is neither yes nor no\n"
     "t.conf:3: the { of this line is never closed\n"},
    {LISTEN "}\nhold = \x01\n", "t.conf:2: a } that closes nothing\n"
                                "t.conf:3: a control character; take it out\n"},
    {LISTEN "include(\"/etc/passwd\")\n",
     "t.conf:2: include: unknown statement; troika.conf(5) lists them all\n"},
    {LISTEN "retry = {}\nhold =\n", "t.conf:4: the file ends in the middle of a statement\n"
                                    "t.conf: the rest of the file was not checked\n"},
    {LISTEN "domain \"a.test\" { system-users = yes }\n",
     "t.conf:2: warning: system-users: needs a server that root starts: only root can write mail "
     "with "
     "the rights of each user\n"},
    {LISTEN "mailbox = \"/var/mail\"\nminimum-uid = 0\nfull-mailbox = maybe\n",
     "t.conf:2: mailbox: \"/var/mail\" would be the same for all users; write {user} where their "
     "name goes\n"
     "t.conf:3: minimum-uid: \"0\" is out of range; it goes from 1 to 4294967294\n"
     "t.conf:4: full-mailbox: \"maybe\" is not known here; write one of: retry return\n"},
    {LISTEN "idle-timeout = 1h\nsession-timeout = 1m\n",
     "t.conf:2: idle-timeout: is longer than session-timeout; make it shorter, or that longer\n"},
};

static void test_errors(void **state)
{
    (void)state;
    for (size_t i = 0; i < countof(cases); i++) {
        struct buf errors = buf_init(64 * KIB);
        struct config *c = NULL;
        bool good = parse(cases[i].text, "mail.example.org", &c, &errors);
        if (!str_eq_c(buf_str(&errors), cases[i].errors))
            print_error("in:\n%s\ngot:\n%s\nwant:\n%s\n", cases[i].text, buf_c(&errors),
                        cases[i].errors);
        assert_string_equal(buf_c(&errors), cases[i].errors);
        bool warnings_only = cases[i].errors[0] == '\0' || strstr(cases[i].errors, "warning:");
        assert_int_equal(good, warnings_only);
        config_drop(&c);
        buf_free(&errors);
    }
}

static struct config *must_parse(const char *text)
{
    struct buf errors = buf_init(64 * KIB);
    struct config *c = NULL;
    if (!parse(text, "mail.example.org", &c, &errors))
        fail_msg("%s", buf_c(&errors));
    buf_free(&errors);
    return c;
}

static void same(struct str got, const char *want)
{
    if (!str_eq_c(got, want))
        fail_msg("got \"%.*s\", want \"%s\"", STR_ARG(got), want);
}

static void test_defaults(void **state)
{
    (void)state;
    struct config *c = must_parse(LISTEN "domain Example.Test { }\n");
    same(c->hostname, "mail.example.org");
    same(c->state, "/var/lib/troika");
    same(c->file, "/etc/troika/t.conf");
    assert_false(c->strict || c->hold);
    assert_int_equal(c->listen_count, 1);
    same(c->listens[0].name, "smtp");
    same(c->listens[0].addresses[0], "*:25");
    same(c->listens[0].at, "t.conf:1");
    same(c->domains[0].name, "example.test");
    assert_true(c->domains[0].accounts);
    same(c->domains[0].at, "t.conf:2");
    assert_int_equal(c->route_count + c->relay_for_count + c->smarthost.via.n, 0);
    assert_int_equal(c->message_bytes_max, 50 * MIB);
    assert_int_equal(c->recipients_max, 1000);
    assert_int_equal(c->retry_count, 6);
    assert_int_equal(c->retry_us[0], 60 * US_PER_S);
    assert_int_equal(c->retry_us[5], 7200 * US_PER_S);
    assert_int_equal(c->expire_us, 5 * 86400 * US_PER_S);
    assert_int_equal(c->dns.forward_count + c->dns.trust_anchor.n, 0);
    assert_int_equal(c->dns.smtp_port, 25);
    assert_false(c->private_next_hops);
    assert_int_equal(c->smtpd_count, 0);
    same(c->log, "stderr");
    same(c->log_level, "info");
    config_drop(&c);
}

static void test_values(void **state)
{
    (void)state;
    struct config *c = must_parse(
        "# comments do not count\n# twice\nhostname = Mail.Example.ORG // nor here\n"
        "state = '/var/lib/a\"b\\\\c'\nlisten a {\n address = { '*:25', \"127.0.0.1:2525\" }\n}\n"
        "listen b { address = \"[::1]:2626\" }\n"
        "route \"Partner.Example\" {\n via = 10.0.0.5 }\nroute .x { via = \"[2001:DB8::1]:26\" }\n"
        "smarthost \"smtp.yandex.ru:465\" { }\nmessage-size = 64k\nfree-floor = 0\n"
        "relay-for = {\n \"10.0.0.0/8\",\n \"::1\" }\nretry = { 1s }\r\nhold=TRUE\nstrict = on\n"
        "log-level = Debug\nprivate-next-hops = yes\n"
        "dns {\n forward = { \"192.0.2.53\", \"2001:DB8::53@5353\" }\n trust-anchor = /k\n}\n");
    same(c->hostname, "mail.example.org");
    same(c->state, "/var/lib/a\"b\\c");
    assert_int_equal(c->listen_count, 2);
    assert_int_equal(c->listens[0].address_count, 2);
    same(c->listens[0].at, "t.conf:5");
    same(c->listens[1].at, "t.conf:8");
    same(c->routes[0].domain, "partner.example");
    same(c->routes[0].via, "10.0.0.5:25");
    same(c->routes[0].at, "t.conf:9");
    same(c->routes[1].domain, ".x");
    same(c->routes[1].via, "[2001:db8::1]:26");
    same(c->smarthost.via, "smtp.yandex.ru:465");
    same(c->smarthost.at, "t.conf:12");
    assert_int_equal(c->message_bytes_max, 64 * KIB);
    assert_int_equal(c->free_floor_bytes, 0);
    assert_int_equal(c->relay_for_count, 2);
    assert_int_equal(c->relay_for[0].bits, 8);
    assert_int_equal(c->retry_count, 1);
    assert_true(c->hold && c->strict);
    same(c->log_level, "debug");
    assert_true(c->private_next_hops);
    assert_int_equal(c->dns.forward_count, 2);
    same(c->dns.forwards[0], "192.0.2.53@53");
    same(c->dns.forwards[1], "2001:db8::53@5353");
    same(c->dns.trust_anchor, "/k");
    same(c->dns.at, "t.conf:23");
    config_drop(&c);
}

static void same_limits(const struct rate *limits, size_t count, const char *want)
{
    struct buf text = buf_init(1 * KIB);
    for (size_t i = 0; i < count; i++) {
        value_print(VALUE_LIMITS, &limits[i], &text);
        buf_add_char(&text, ' ');
    }
    same(buf_str(&text), want);
    buf_free(&text);
}

/* A provider's name stands for what is known of it; what the file says itself counts more. */
static void test_providers(void **state)
{
    (void)state;
    struct config *c =
        must_parse(LISTEN "smarthost Yandex { login = \"me@yandex.ru\" password-file = \"/p\" }\n");
    struct config_hop hop = config_hop(c, STR("smtp.yandex.ru:465"));
    same(c->smarthost.via, "smtp.yandex.ru:465");
    same(hop.login, "me");
    same(hop.password_file, "/p");
    same(hop.tls, "verified");
    assert_true(hop.implicit_tls && !hop.unprotected);
    same_limits(hop.limits, hop.limit_count, "6/hour 150/day ");
    same_limits(hop.recipient_limits, hop.recipient_limit_count, "500/day ");
    assert_int_equal(hop.recipients_max, 35);
    config_drop(&c);

    c = must_parse(LISTEN
                   "smarthost ya { limit = \"1/minute\" recipient-limit = \"9/day\" tls = required "
                   "recipients-per-message = 5 }\n");
    hop = config_hop(c, STR("smtp.yandex.ru:465"));
    same(hop.tls, "required");
    same_limits(hop.limits, hop.limit_count, "1/minute ");
    same_limits(hop.recipient_limits, hop.recipient_limit_count, "9/day ");
    assert_int_equal(hop.login.n, 0);
    assert_int_equal(hop.recipients_max, 5);
    config_drop(&c);

    c = must_parse(LISTEN "login-messages = none\nsmarthost yandex { limit = { none } }\n");
    assert_int_equal(c->smarthost.limit_count + c->login_message_count, 0);
    assert_int_equal(c->smarthost.recipient_limit_count, 1);
    assert_true(c->login_recipient_count > 0);
    struct buf printed = buf_init(64 * KIB);
    config_print(&printed, c);
    assert_non_null(strstr(buf_c(&printed), "login-messages = none\n"));
    config_drop(&c);
    c = must_parse(buf_c(&printed)); /* means the same */
    assert_int_equal(c->smarthost.limit_count + c->login_message_count, 0);
    buf_free(&printed);
    config_drop(&c);

    c = must_parse(LISTEN "smarthost odd { login = x password-file = \"/p\" }\n");
    hop = config_hop(c, STR("192.0.2.9:2465"));
    same(hop.login, "apikey");
    assert_true(hop.implicit_tls);
    same_limits(hop.limits, hop.limit_count, "50/15m ");
    config_drop(&c);
}

static void test_hops(void **state)
{
    (void)state;
    struct config *c = must_parse(
        LISTEN "smarthost \"192.0.2.1:587\" { login = me password-file = \"/p\" }\n"
               "route a.test { via = \"192.0.2.2:587\" login = you password-file = \"/q\""
               " tls = off }\n"
               "route b.test { via = \"192.0.2.3:465\" }\n");
    struct config_hop hop = config_hop(c, STR("192.0.2.1:587"));
    same(hop.tls, "verified");
    assert_false(hop.implicit_tls || hop.unprotected);
    hop = config_hop(c, STR("192.0.2.2:587"));
    same(hop.login, "you");
    assert_true(hop.unprotected);
    hop = config_hop(c, STR("192.0.2.3:465"));
    same(hop.tls, "opportunistic");
    assert_true(hop.implicit_tls && hop.login.n == 0);
    hop = config_hop(c, STR("@example.org"));
    same(hop.tls, "opportunistic");
    assert_false(hop.implicit_tls);
    config_drop(&c);
}

static unsigned full_name_asked;

static struct str full_name(struct arena *a, struct str hostname)
{
    full_name_asked++;
    return arena_printf(a, "%.*s.example.org", STR_ARG(hostname));
}

static void test_system_name(void **state)
{
    (void)state;
    struct buf errors = buf_init(4 * KIB);
    struct config *c = NULL;
    assert_false(parse(LISTEN, "box", &c, &errors));
    assert_string_equal(buf_c(&errors),
                        "t.conf: hostname: the name of this system, \"box\", is no full domain "
                        "name; write hostname = \"mail.example.org\"\n");
    buf_reset(&errors);
    assert_true(parse(LISTEN "hostname = a.test\n", "box", &c, &errors));
    config_drop(&c);

    struct machine machine = {.hostname = STR("box"), .full_name = full_name};
    assert_true(config_parse(STR(LISTEN), STR("/t.conf"), &machine, &c, &errors));
    same(c->hostname, "box.example.org");
    config_drop(&c);
    assert_int_equal(full_name_asked, 1);
    machine.hostname = STR("box.test");
    assert_true(config_parse(STR(LISTEN), STR("/t.conf"), &machine, &c, &errors));
    config_drop(&c);
    machine.hostname = STR("box");
    assert_true(
        config_parse(STR(LISTEN "hostname = a.test"), STR("/t.conf"), &machine, &c, &errors));
    config_drop(&c);
    assert_int_equal(full_name_asked, 1);
    buf_free(&errors);
}

/* Only what decides where mail goes changes the fingerprint. */
static void test_fingerprint(void **state)
{
    (void)state;
    static const char *const same_routes[] = {LISTEN "domain a.test { }\n", LISTEN
                                              "\n\ndomain a.test { accounts = yes }\nhold = yes\n"};
    static const char *const others[] = {LISTEN,
                                         LISTEN "domain b.test { }\n",
                                         LISTEN "domain a.test { accounts = no }\n",
                                         LISTEN "domain a.test { }\nsmarthost h.test { }\n",
                                         LISTEN
                                         "domain a.test { }\nroute b.test { via = h.test }\n",
                                         LISTEN "domain a.test { }\nhostname = x.test\n"};
    struct config *c = must_parse(same_routes[0]), *d = must_parse(same_routes[1]);
    assert_true(c->routing_fingerprint == d->routing_fingerprint);
    config_drop(&d);
    for (size_t i = 0; i < countof(others); i++) {
        d = must_parse(others[i]);
        assert_true(c->routing_fingerprint != d->routing_fingerprint);
        config_drop(&d);
    }
    config_drop(&c);
}

/* A file cut anywhere is an error or a smaller file, and never upsets the next one. */
static void test_cut(void **state)
{
    (void)state;
    static const char text[] =
        "hostname = \"a.test\" # c\n/* x */ listen a { address = { '*:25' } }\n"
        "relay-for = { \"10.0.0.0/8\", '::1' }\nhold = yes\n";
    for (size_t n = 0; n < sizeof text; n++) {
        char cut[sizeof text] = "";
        struct buf errors = buf_init(64 * KIB);
        struct config *c = NULL;
        memcpy(cut, text, n);
        bool good = parse(cut, "mail.example.org", &c, &errors);
        assert_int_equal(good, c != NULL);
        assert_true(good || errors.n > 0);
        config_drop(&c);
        buf_free(&errors);
        c = must_parse(text);
        config_drop(&c);
    }
}

static void test_many(void **state)
{
    (void)state;
    struct buf text = buf_init(1 * MIB), errors = buf_init(64 * KIB);
    buf_add_c(&text, LISTEN);
    for (unsigned i = 0; i < 2000; i++)
        buf_printf(&text, "domain d%u.test { accounts = no }\n", i);
    struct config *c = must_parse(buf_c(&text));
    assert_int_equal(c->domain_count, 2000);
    assert_false(c->domains[1999].accounts);
    config_drop(&c);
    for (unsigned i = 0; i < 1000; i++)
        buf_printf(&text, "nonsense%u = 1\n", i);
    assert_false(parse(buf_c(&text), "mail.example.org", &c, &errors));
    assert_non_null(strstr(buf_c(&errors), "the rest of the file was not checked"));
    buf_free(&text);
    buf_free(&errors);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_errors),      cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_values),      cmocka_unit_test(test_providers),
        cmocka_unit_test(test_hops),        cmocka_unit_test(test_system_name),
        cmocka_unit_test(test_fingerprint), cmocka_unit_test(test_cut),
        cmocka_unit_test(test_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
