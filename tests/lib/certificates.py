"""Certificates for peers in tests, made on the spot by the openssl command: an authority of our own and what it signs."""
# SPDX-License-Identifier: ISC
import os
import shutil
import ssl
import subprocess
import tempfile


class Authority:
    """with Authority() as ca: ca.roots (a file); ca.make("mx.test") is a file with key and certificate."""

    def __enter__(self):
        self.folder = tempfile.mkdtemp(prefix="troika-ca-")
        os.chmod(self.folder, 0o755)
        self.roots = self.folder + "/roots.pem"
        self._openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "ca.key", "-out", "roots.pem",
                      "-days", "30", "-subj", "/CN=Test Authority")
        os.chmod(self.roots, 0o644)
        return self

    def _openssl(self, *arguments):
        subprocess.run(["openssl", *arguments], cwd=self.folder, check=True, capture_output=True)

    def make(self, name, san=None, signed=True, expired=False, rsa=False):
        """san: "DNS:x,IP:y"; not signed: by itself; expired: two years ago; rsa: for who knows nothing else."""
        path = f"{self.folder}/{name}-{signed}-{expired}-{rsa}"
        san = san or f"DNS:{name}"
        kind = ["rsa:2048"] if rsa else ["ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
        self._openssl("req", "-new", "-newkey", *kind, "-nodes", "-keyout", path + ".key", "-out", path + ".csr",
                      "-subj", f"/CN={name}")
        with open(path + ".ext", "w") as f:
            f.write(f"subjectAltName={san}\n")
        signer = ["-CA", "roots.pem", "-CAkey", "ca.key", "-CAcreateserial"] if signed else ["-signkey", path + ".key"]
        if expired:  # `openssl x509` takes no dates, only days from now
            signer += ["-days", "-1"]
        else:
            signer += ["-days", "20"]
        self._openssl("x509", "-req", "-in", path + ".csr", "-extfile", path + ".ext", "-out", path + ".crt", *signer)
        with open(path + ".pem", "w") as f:
            f.write(open(path + ".key").read() + open(path + ".crt").read())
        os.chmod(path + ".pem", 0o644)
        return path + ".pem"

    def context(self, *arguments, **more):
        """A server's context with a new certificate."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(self.make(*arguments, **more))
        return context

    def __exit__(self, *_):
        shutil.rmtree(self.folder, ignore_errors=True)
