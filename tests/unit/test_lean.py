"""What a process that stays for months leaves out, seen from a fresh one."""

from __future__ import annotations

import subprocess
import sys

CODE = """
import sys
from appliance.system.lean import absent, one_heap, trim

one_heap()
before = sys.modules["json"] = __import__("json")
with absent("ssl", "json"):
    import asyncio
    try:
        import json
    except ImportError:
        print("without json")
trim()
import ssl, json
print(asyncio.sslproto.ssl is None, json is before, ssl.OPENSSL_VERSION[:7])
"""


def test_what_is_absent_is_missed_only_meanwhile() -> None:
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, timeout=30, check=True)
    assert done.stdout.split("\n")[:2] == ["without json", "True True OpenSSL"]
