"""How a device comes to trust the box's own authority: the words of the page at port 80 and of `weir ca show`."""

from __future__ import annotations

STEPS = {
    "Android": "open the page, download; Settings > Security > Encryption > Install a certificate > CA certificate",
    "iPhone, iPad": "open the page in Safari, allow; Settings > Profile Downloaded > Install; then Settings > General"
    " > About > Certificate Trust Settings: switch it on",
    "Windows": "download, open the file: Install > Local Machine > Trusted Root Certification Authorities",
    "macOS": "download, open the file: Keychain System; open it there: Trust > Always Trust",
    "Debian, Ubuntu": "put it into /usr/local/share/ca-certificates/weir.crt, then: sudo update-ca-certificates",
    "Firefox": "Settings > Privacy & Security > View Certificates > Authorities > Import",
}
