"""Other people's servers for tests, unpacked or installed below build/peers, never over the machine's own."""
# SPDX-License-Identifier: ISC
import glob
import os
import shutil
import signal
import socket
import subprocess
import tempfile

import pytest
from troika import ROOT, free_port, locked, wait_for

PEERS = os.path.join(ROOT, "build", "peers")
# An overlay belongs to one of the processes of pytest-xdist: each start of a peer makes it anew.
OVERLAYS = os.path.join(PEERS, os.environ.get("PYTEST_XDIST_WORKER", "gw0"))


def package_files(name, *packages):
    """The folder with the files of Debian packages, of a program and the libraries it brings (apt download and unpack)."""
    folder = f"{PEERS}/{name}-files"
    os.makedirs(folder, exist_ok=True)
    os.chmod(PEERS, 0o755)
    with locked(f"peers/{name}-files"):
        if not os.path.exists(folder + "/ready"):
            subprocess.run(["apt-get", "download", *packages], cwd=folder, check=True, capture_output=True)
            for package in glob.glob(folder + "/*.deb"):
                subprocess.run(["dpkg", "-x", package, folder + "/root"], check=True)
                os.unlink(package)
            open(folder + "/ready", "w").close()
    return folder + "/root"


def postfix_files():
    return package_files("postfix", "postfix", "libicu72", "libnsl2", "libtirpc3", "libdb5.3", "libsasl2-2")


def connects(port):
    with socket.socket() as s:
        return s.connect_ex(("127.0.0.1", port)) == 0


class Foreground:
    """A program of package_files that stays in the foreground, with one file of configuration: a subclass says which."""

    name, packages, program = "", (), ""

    def __init__(self):
        self.port = free_port()

    def configuration(self):
        raise NotImplementedError

    def arguments(self):
        raise NotImplementedError

    def __enter__(self):
        self.root = package_files(self.name, *self.packages)
        self.folder = tempfile.mkdtemp(prefix=f"troika-{self.name}-")
        with open(self.folder + "/conf", "w") as f:
            f.write(self.configuration())
        libraries = f"{self.root}/usr/lib/x86_64-linux-gnu"
        with open(self.folder + "/output", "wb") as output:
            self.process = subprocess.Popen([self.root + self.program, *self.arguments()], cwd=self.folder, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                                            env={**os.environ, "LD_LIBRARY_PATH": libraries})
        try:
            wait_for(lambda: connects(self.port) or self.process.poll() is not None, 60, self.name)
            assert self.process.poll() is None, open(self.folder + "/output").read()
        except AssertionError:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


class Haproxy(Foreground):
    """HAProxy in front of a port: with Haproxy(to=port, options="send-proxy") as h: h.port"""

    name, program = "haproxy", "/usr/sbin/haproxy"
    packages = ("haproxy", "liblua5.3-0", "libopentracing-c-wrapper0", "libopentracing1")

    def __init__(self, to, options):
        super().__init__()
        self.to, self.options = to, options

    def configuration(self):
        return f"""defaults
  mode tcp
  timeout connect 20s
  timeout client 100s
  timeout server 100s
listen mail
  bind 127.0.0.1:{self.port}
  server troika 127.0.0.1:{self.to} {self.options}
"""

    def arguments(self):
        return ["-db", "-f", "conf"]


class Nginx(Foreground):
    """nginx as a mail proxy, which tells the client by XCLIENT; auth_port: an HTTP server that says where to go."""

    name, program = "nginx", "/usr/sbin/nginx"
    packages = ("nginx", "libnginx-mod-mail")

    def __init__(self, auth_port):
        super().__init__()
        self.auth_port = auth_port

    def configuration(self):
        return f"""load_module {self.root}/usr/lib/nginx/modules/ngx_mail_module.so;
daemon off;
master_process off;
pid {self.folder}/pid;
error_log {self.folder}/error info;
events {{ }}
mail {{
  server_name proxy.test;
  auth_http 127.0.0.1:{self.auth_port}/auth;
  smtp_auth none;
  xclient on;
  server {{ listen 127.0.0.1:{self.port}; protocol smtp; }}
}}
"""

    def arguments(self):
        return ["-p", self.folder, "-c", self.folder + "/conf", "-e", self.folder + "/error"]


class SmtpSink:
    """Postfix's smtp-sink, dumping each message into a file: with SmtpSink() as s: s.port, s.messages()"""

    def __init__(self, *options):
        self.options, self.port = options, free_port()

    def __enter__(self):
        root = postfix_files()
        self.folder = tempfile.mkdtemp(prefix="troika-sink-")
        os.chmod(self.folder, 0o777)
        command = [root + "/usr/sbin/smtp-sink", "-d", "%M.", *(["-u", "nobody"] if os.geteuid() == 0 else []), *self.options, f"127.0.0.1:{self.port}", "100"]
        libraries = f"{root}/usr/lib/postfix:{root}/usr/lib/x86_64-linux-gnu"
        self.process = subprocess.Popen(command, cwd=self.folder, env={**os.environ, "LD_LIBRARY_PATH": libraries}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for(lambda: socket.socket().connect_ex(("127.0.0.1", self.port)) == 0, what="smtp-sink")
        return self

    def messages(self):
        found = [open(f"{self.folder}/{name}", "rb").read() for name in sorted(os.listdir(self.folder))]
        return [m for m in found if b"\n" in m and b"X-Mail-Args: " in m or b"X-Rcpt-Args: " in m]

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        import shutil
        shutil.rmtree(self.folder, ignore_errors=True)


def in_overlay(base, script):
    """The command that runs a script without a single quote as root, in an overlay over / whose files are below `base`/upper."""
    for folder in ("upper", "work", "root"):
        os.makedirs(f"{base}/{folder}", exist_ok=True)
    setup = f"""set -e
mount -t overlay overlay -o lowerdir=/,upperdir={base}/upper,workdir={base}/work {base}/root
mount -t proc proc {base}/root/proc
mount --rbind /dev {base}/root/dev
"""
    return ["unshare", "--mount", "--propagation", "private", "--pid", "--fork", "--kill-child=SIGKILL", "sh", "-c", setup + f"exec chroot {base}/root sh -c '{script}'"]


def installed(packages):
    """The folder with what apt-get changes in / to install Debian packages: once for all processes, who copy it."""
    name = "+".join(packages)
    base = f"{PEERS}/{name}"
    os.makedirs(PEERS, exist_ok=True)
    with locked("peers/" + name):
        if not os.path.exists(base + "/ready"):
            shutil.rmtree(base, ignore_errors=True)  # what a run that was ended left half done
            # Nobody reads its manual pages, no power cut harms it, and ucf, which takes two seconds for each of Dovecot's
            # files of configuration, would make what is not read.
            install = "apt-get install -y --no-install-recommends -o Dpkg::Options::=--force-unsafe-io -o DPkg::Path=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin " + " ".join(packages)
            script = f"""printf "#!/bin/sh\\nexit 101\\n" >/usr/sbin/policy-rc.d; chmod 755 /usr/sbin/policy-rc.d
rm -f /var/lib/man-db/auto-update; ln -s /bin/true /usr/local/bin/ucf
export DEBIAN_FRONTEND=noninteractive LC_ALL=C
{install} || {{ apt-get update && {install}; }}
apt-get clean"""
            result = subprocess.run(in_overlay(base, script), capture_output=True, text=True, timeout=600)
            if result.returncode:
                raise AssertionError(f"{name} could not be installed below build/peers:\n" + result.stdout[-2000:] + result.stderr[-2000:])
            open(base + "/ready", "w").close()
    return base + "/upper"


class Peer:
    """A mail server of Debian's, installed below build/peers: it runs in a chroot that is an overlay over / in mount
    and pid namespaces of its own, on a port of its own. It takes mail for anybody at `domain` into Maildirs below
    /var/vmail, sends all else to `relay_port`."""

    name, packages, log_file, maildir = "", (), "", "/var/vmail/box"

    def __init__(self, relay_port):
        self.relay_port, self.port = relay_port, free_port()
        self.domain = self.name + ".test"
        self.base = OVERLAYS + "/" + self.name
        self.upper = self.base + "/upper"

    def script(self):
        """What configures and starts it, in the foreground, without a single quote; files() are there."""
        raise NotImplementedError

    def files(self):
        """{path: content} of its configuration."""
        return {}

    def listens(self):
        return socket.socket().connect_ex(("127.0.0.1", self.port)) == 0

    def __enter__(self):
        if os.geteuid() != 0:
            pytest.skip(f"a real {self.name} needs root")
        files = installed(self.packages)
        shutil.rmtree(self.base, ignore_errors=True)
        os.makedirs(self.base)
        # A copy, as no overlay has a folder inside of / for a lower layer beside /.
        subprocess.run(["cp", "-a", files, self.upper], check=True)
        for path, content in self.files().items():
            os.makedirs(os.path.dirname(self.upper + path), exist_ok=True)
            with open(self.upper + path, "w") as f:
                f.write(content)
        prepare = "rm -rf /var/vmail; mkdir -p /var/vmail; chown 5000:5000 /var/vmail\n"
        if self.log_file:
            prepare += f"rm -f {self.log_file}\n"
        self.process = subprocess.Popen(in_overlay(self.base, prepare + self.script()), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        try:
            wait_for(lambda: self.listens() or self.process.poll() is not None, 60, self.name)
        except AssertionError:
            self.__exit__()
            raise
        assert self.process.poll() is None, self.process.stderr.read().decode()
        return self

    def mails(self):
        folder = self.upper + self.maildir + "/new"
        return [open(f"{folder}/{name}", "rb").read() for name in sorted(os.listdir(folder))] if os.path.isdir(folder) else []

    def log(self):
        try:
            return open(self.upper + self.log_file, errors="replace").read()
        except OSError:
            return ""

    def __exit__(self, *_):
        # The end of the first process of its pid namespace ends all of them.
        with open(f"/proc/{self.process.pid}/task/{self.process.pid}/children") as f:
            for pid in f.read().split():
                os.kill(int(pid), signal.SIGKILL)
        self.process.wait()
        wait_for(lambda: not self.listens(), 15, f"the end of {self.name}")


class Postfix(Peer):
    name, packages, log_file = "postfix", ("postfix", "libsasl2-modules", "sasl2-bin"), "/var/log/postfix.log"
    # The end of `postfix start-fg`, whose beginning is a script that asks forty times for this and that.
    start = "MAIL_CONFIG=/etc/postfix exec /usr/lib/postfix/sbin/master -i"

    def __init__(self, relay_port, certificate=None, transport="smtp", login=None, smtputf8=True, outgoing_tls="none", settings={}):
        """certificate: a file with key and certificate; STARTTLS is offered then. transport: of what goes to relay_port.
        login: NAME:PASSWORD for where it relays to. outgoing_tls: its smtp_tls_security_level. settings: more of main.cf."""
        super().__init__(relay_port)
        self.settings = settings
        self.certificate, self.transport, self.login, self.smtputf8 = certificate, transport, login, smtputf8
        self.outgoing_tls = outgoing_tls

    def files(self):
        if not self.certificate:
            return {}
        with open(self.certificate) as f:
            return {"/etc/postfix/tls.pem": f.read()}

    def script(self):
        settings = {
            "inet_interfaces": "127.0.0.1", "inet_protocols": "ipv4", "myhostname": "postfix.example", "mydestination": "",
            "mynetworks": "127.0.0.0/8", "relayhost": f"[127.0.0.1]:{self.relay_port}", "default_transport": self.transport, "smtp_dns_support_level": "disabled",
            "smtp_host_lookup": "native", "smtpd_tls_security_level": "may" if self.certificate else "none",
            "smtpd_tls_chain_files": "/etc/postfix/tls.pem" if self.certificate else "", "smtpd_tls_loglevel": "1",
            "smtp_tls_security_level": self.outgoing_tls, "smtputf8_enable": "yes" if self.smtputf8 else "no", "message_size_limit": "104857600",
            "virtual_mailbox_domains": "postfix.test", "virtual_mailbox_base": "/var/vmail", "virtual_mailbox_maps": "static:box/",
            "virtual_uid_maps": "static:5000", "virtual_gid_maps": "static:5000", "virtual_mailbox_limit": "0", "alias_maps": "", "minimal_backoff_time": "1s",
            "queue_run_delay": "1s", "maximal_backoff_time": "2s", "maillog_file": self.log_file, "append_dot_mydomain": "no", "compatibility_level": "3.6",
            "smtp_line_length_limit": "0",  # else it folds lines of more than 998 bytes on their way out
        }
        if self.login:
            settings |= {"smtp_sasl_auth_enable": "yes", "smtp_sasl_password_maps": "static:" + self.login, "smtp_sasl_security_options": "noanonymous",
                         "smtp_sasl_tls_security_options": "noanonymous"}
        else:
            settings |= {"smtp_sasl_auth_enable": "no"}
        settings |= self.settings
        # Postfix reads no file before it is older than a second: each program would wait for that.
        script = "main_cf() { postconf -e \"$@\"; touch -d \"9 seconds ago\" /etc/postfix/main.cf; }\n"
        script += "main_cf " + " ".join(f'"{k}={v}"' for k, v in settings.items()) + "\n"
        script += "".join(f"find /var/spool/postfix/{q} -type f -delete\n" for q in ("incoming", "active", "deferred", "defer"))
        script += "postconf -F \"*/*/chroot=n\"\npostconf -MX smtp/inet 2>/dev/null || true\n"
        script += "postconf -M# \"smtp/inet\" 2>/dev/null || true\n"
        script += "for s in $(postconf -M | awk \"\\$2==\\\"inet\\\"{print \\$1}\"); do postconf -MX $s/inet; done\n"
        script += f"postconf -M \"127.0.0.1:{self.port}/inet=127.0.0.1:{self.port} inet n - n - - smtpd\"\n"
        return script + self.start


class Exim(Peer):
    name, packages, log_file = "exim", ("exim4-daemon-light",), "/var/log/exim4/mainlog"

    def __init__(self, relay_port, transport="smtp"):
        """transport: what is spoken with relay_port"""
        super().__init__(relay_port)
        self.transport = transport

    def files(self):
        return {"/etc/exim4/exim4.conf": f"""primary_hostname = exim.example
domainlist local_domains = {self.domain}
local_interfaces = 127.0.0.1.{self.port}
daemon_smtp_ports = {self.port}
hostlist relay_from = 127.0.0.0/8
acl_smtp_rcpt = accept
tls_advertise_hosts =
chunking_advertise_hosts = *
pipelining_advertise_hosts = *
pipelining_connect_advertise_hosts =
message_size_limit = 100M
accept_8bitmime = true
allow_mx_to_ip = true
rfc1413_query_timeout = 0s
host_lookup =
keep_environment =
log_selector = +smtp_confirmation
queue_run_in_order
retry_interval_max = 1s
begin acl
begin routers
box:
  driver = accept
  domains = +local_domains
  transport = box
out:
  driver = manualroute
  domains = ! +local_domains
  route_list = * 127.0.0.1
  self = send
  transport = out
  no_more
begin transports
box:
  driver = appendfile
  directory = /var/vmail/box
  maildir_format
  create_directory
  user = 5000
  group = 5000
out:
  driver = smtp
  protocol = {self.transport}
  port = {self.relay_port}
  hosts_avoid_tls = *
  message_linelength_limit = 1000000000
  allow_localhost
begin retry
* * F,1h,1s
"""}

    def script(self):
        return "rm -rf /var/spool/exim4/input /var/spool/exim4/db; exec exim4 -bdf -q1s"


class OpenSmtpd(Peer):
    name, packages, log_file = "opensmtpd", ("opensmtpd",), "/var/log/smtpd.log"

    def files(self):
        return {"/etc/troika-smtpd.conf": f"""smtp max-message-size 100M
listen on 127.0.0.1 port {self.port} hostname opensmtpd.example
action "box" maildir "/var/vmail/box" virtual {{ "@" = vmail }}
action "out" relay host smtp://127.0.0.1:{self.relay_port}
match from any for domain "{self.domain}" action "box"
match from any for any action "out"
"""}

    def script(self):
        return """getent passwd vmail >/dev/null || useradd -u 5000 -U -d /var/vmail vmail
rm -rf /var/spool/smtpd/queue/* /var/spool/smtpd/incoming/*
exec smtpd -d -f /etc/troika-smtpd.conf >/var/log/smtpd.log 2>&1"""


class Dovecot(Peer):
    """Takes mail by LMTP for alice, and for full, whose quota has no room."""

    name, packages, log_file, maildir = "dovecot", ("dovecot-lmtpd", "dovecot-pop3d"), "/var/log/dovecot.log", "/var/vmail/alice/Maildir"

    def files(self):
        users = "".join(f"{user}@{self.domain}::5000:5000::/var/vmail/{user}::userdb_quota_rule=*:bytes={room}\n" for user, room in (("alice", 1 << 30), ("full", 10)))
        return {"/etc/dovecot/troika-users": users, "/etc/dovecot/troika.conf": f"""protocols = lmtp
log_path = {self.log_file}
ssl = no
mail_location = maildir:~/Maildir
mail_plugins = quota
plugin {{
  quota = count:User quota
  quota_vsizes = yes
}}
userdb {{
  driver = passwd-file
  args = /etc/dovecot/troika-users
}}
passdb {{
  driver = passwd-file
  args = /etc/dovecot/troika-users
}}
service lmtp {{
  inet_listener lmtp {{
    address = 127.0.0.1
    port = {self.port}
  }}
}}
"""}

    def script(self):
        return "rm -rf /run/dovecot; exec dovecot -F -c /etc/dovecot/troika.conf"


class PostfixSasl(Postfix):
    """Takes mail only after a login (Cyrus SASL with passwords in its own database) over STARTTLS."""

    name = "postfix-sasl"

    def __init__(self, certificate, user, password):
        super().__init__(relay_port=1, certificate=certificate)
        self.domain, self.user, self.password = "postfix.test", user, password

    def files(self):
        return super().files() | {"/etc/postfix/sasl/smtpd.conf": "pwcheck_method: auxprop\nauxprop_plugin: sasldb\n"
                                  "mech_list: PLAIN LOGIN CRAM-MD5 DIGEST-MD5 SCRAM-SHA-1 SCRAM-SHA-256\n"}

    def script(self):
        settings = {"smtpd_sasl_auth_enable": "yes", "smtpd_sasl_type": "cyrus", "smtpd_sasl_path": "smtpd", "cyrus_sasl_config_path": "/etc/postfix/sasl",
                    "smtpd_sasl_local_domain": "postfix.example", "smtpd_tls_auth_only": "yes", "smtpd_client_restrictions": "permit_sasl_authenticated,reject"}
        login = f"""rm -f /etc/sasldb2
printf "%s" "{self.password}" | saslpasswd2 -p -c -u postfix.example {self.user}
chmod 644 /etc/sasldb2
main_cf {" ".join(f'"{k}={v}"' for k, v in settings.items())}
{self.start}"""
        return super().script().replace(self.start, login)


class DovecotPop3(Peer):
    """POP3 for alice, with STLS on .port and TLS from the first byte on .tls_port."""

    name, packages, log_file = "dovecot-pop3", Dovecot.packages, "/var/log/dovecot.log"

    def __init__(self, certificate, password):
        super().__init__(relay_port=0)
        self.certificate, self.password, self.tls_port = certificate, password, free_port()

    def files(self):
        with open(self.certificate) as f:
            return {"/etc/dovecot/tls.pem": f.read(), "/etc/dovecot/troika-users": f"alice:{{PLAIN}}{self.password}:5000:5000::/var/vmail/alice::\n",
                    "/etc/dovecot/troika.conf": f"""protocols = pop3
log_path = {self.log_file}
ssl = required
ssl_cert = </etc/dovecot/tls.pem
ssl_key = </etc/dovecot/tls.pem
auth_mechanisms = plain login cram-md5 scram-sha-1 scram-sha-256
mail_location = maildir:~/Maildir
userdb {{
  driver = passwd-file
  args = /etc/dovecot/troika-users
}}
passdb {{
  driver = passwd-file
  args = /etc/dovecot/troika-users
}}
service pop3-login {{
  inet_listener pop3 {{
    address = 127.0.0.1
    port = {self.port}
  }}
  inet_listener pop3s {{
    address = 127.0.0.1
    port = {self.tls_port}
    ssl = yes
  }}
}}
"""}

    def script(self):
        return "rm -rf /run/dovecot; exec dovecot -F -c /etc/dovecot/troika.conf"


# ---- servers that want a login, with STARTTLS on .port and TLS from the first byte on .tls_port ----

class PostfixLogins(PostfixSasl):
    """With Cyrus SASL. Logins only over TLS."""

    name = "postfix-sasl"
    mechanisms = ("PLAIN", "LOGIN", "CRAM-MD5", "SCRAM-SHA-1", "SCRAM-SHA-256")

    def __init__(self, certificate, user, password):
        super().__init__(certificate, user, password)
        self.tls_port = free_port()

    def script(self):
        service = f"127.0.0.1:{self.tls_port}/inet"
        return super().script().replace(self.start, f"""postconf -M "{service}=127.0.0.1:{self.tls_port} inet n - n - - smtpd"
postconf -P "{service}/smtpd_tls_wrappermode=yes"
{self.start}""")


class EximLogins(Exim):
    name = "exim-logins"
    mechanisms = ("PLAIN", "LOGIN", "CRAM-MD5")

    def __init__(self, certificate, user, password):
        super().__init__(relay_port=1)
        self.domain, self.certificate, self.user, self.password, self.tls_port = "exim.test", certificate, user, password, free_port()

    def files(self):
        with open(self.certificate) as f:
            pem = f.read()
        text = super().files()["/etc/exim4/exim4.conf"]
        text = text.replace("tls_advertise_hosts =\n", "tls_advertise_hosts = *\ntls_certificate = /etc/exim4/tls.pem\ntls_privatekey = /etc/exim4/tls.pem\n"
                            f"tls_on_connect_ports = {self.tls_port}\nauth_advertise_hosts = ${{if eq{{$tls_in_cipher}}{{}}{{}}{{*}}}}\n")
        text = text.replace(f"local_interfaces = 127.0.0.1.{self.port}\ndaemon_smtp_ports = {self.port}\n",
                            f"local_interfaces = <; 127.0.0.1.{self.port} ; 127.0.0.1.{self.tls_port}\n")
        text = text.replace("acl_smtp_rcpt = accept\n", "acl_smtp_rcpt = check_rcpt\n").replace(
            "begin acl\n", "begin acl\ncheck_rcpt:\n  accept authenticated = *\n  deny message = log in first\n", 1)
        return {"/etc/exim4/tls.pem": pem, "/etc/exim4/exim4.conf": text + f"""begin authenticators
plain:
  driver = plaintext
  public_name = PLAIN
  server_prompts = :
  server_condition = ${{if and{{{{eq{{$auth2}}{{{self.user}}}}}{{eq{{$auth3}}{{{self.password}}}}}}}}}
  server_set_id = $auth2
login:
  driver = plaintext
  public_name = LOGIN
  server_prompts = Username:: : Password::
  server_condition = ${{if and{{{{eq{{$auth1}}{{{self.user}}}}}{{eq{{$auth2}}{{{self.password}}}}}}}}}
  server_set_id = $auth1
cram:
  driver = cram_md5
  public_name = CRAM-MD5
  server_secret = ${{if eq{{$auth1}}{{{self.user}}}{{{self.password}}}fail}}
  server_set_id = $auth1
"""}

    def script(self):
        return "chown root:Debian-exim /etc/exim4/tls.pem; chmod 640 /etc/exim4/tls.pem\n" + super().script()


class OpenSmtpdLogins(OpenSmtpd):
    name = "opensmtpd-logins"
    mechanisms = ("PLAIN", "LOGIN")

    def __init__(self, certificate, user, password):
        super().__init__(relay_port=1)
        self.domain, self.certificate, self.user, self.password, self.tls_port = "opensmtpd.test", certificate, user, password, free_port()

    def files(self):
        with open(self.certificate) as f:
            pem = f.read()
        hashed = subprocess.run(["openssl", "passwd", "-6", self.password], capture_output=True, text=True, check=True).stdout.strip()
        return {"/etc/troika-smtpd.pem": pem, "/etc/troika-smtpd.logins": f"{self.user} {hashed}\n", "/etc/troika-smtpd.conf": f"""pki here cert "/etc/troika-smtpd.pem"
pki here key "/etc/troika-smtpd.pem"
table logins file:/etc/troika-smtpd.logins
listen on 127.0.0.1 port {self.port} tls-require pki here auth <logins> hostname opensmtpd.example
listen on 127.0.0.1 port {self.tls_port} smtps pki here auth <logins> hostname opensmtpd.example
action "box" maildir "/var/vmail/box" virtual {{ "@" = vmail }}
match auth from any for domain "{self.domain}" action "box"
"""}

    def script(self):
        return "chmod 600 /etc/troika-smtpd.pem; chown root:root /etc/troika-smtpd.pem; chmod 644 /etc/troika-smtpd.logins\n" + super().script()
