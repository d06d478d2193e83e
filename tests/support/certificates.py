"""Authorities and certificates of a test's own, made by OpenSSL."""

import os
import ssl
import subprocess

from . import checks


class Authority:
    """In a folder: its certificate is `pem`."""

    def __init__(self, folder, name):
        self.folder, self.name = folder, name
        self.pem, self.key = self._path("pem"), self._path("key")
        self._openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", f"/CN={name}",
                      "-keyout", self.key, "-out", self.pem)

    def _path(self, ending):
        return os.path.join(self.folder, f"{self.name}.{ending}")

    def _openssl(self, *arguments):
        done = subprocess.run(["openssl", *arguments], cwd=self.folder, capture_output=True, text=True, timeout=60)
        checks.equal(done.returncode, 0, f"openssl {arguments[0]}: {done.stderr}")

    def issue(self, name, names):
        """A certificate for these names (`DNS:localhost`): the files of the certificate and of its key."""
        certificate, key, request, more = (self._path(f"{name}.{ending}") for ending in ("pem", "key", "csr", "ext"))
        with open(more, "w") as file:
            file.write(f"subjectAltName={','.join(names)}\n")
        self._openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/CN={name}", "-keyout", key, "-out", request)
        self._openssl("x509", "-req", "-in", request, "-CA", self.pem, "-CAkey", self.key, "-CAcreateserial", "-days", "2", "-extfile", more, "-out", certificate)
        return certificate, key

    def context(self, name, names, clients=None):
        """Of a server with such a certificate; `clients` is the authority of those it takes, if it asks them who they are."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*self.issue(name, names))
        if clients:
            context.load_verify_locations(clients.pem)
            context.verify_mode = ssl.CERT_REQUIRED
        return context
