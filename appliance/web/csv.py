"""An audit log as a sheet: the columns of the reference."""

from __future__ import annotations

from typing import Any

import msgspec

from appliance.schema.audit import AuditPage
from appliance.web.route import Reply

COLUMNS = ("id", "event", "body", "scope", "trigger", "createdAt")
CSV = "text/csv; charset=utf-8"
# A cell that begins so is a formula to spreadsheets (https://owasp.org/www-community/attacks/CSV_Injection).
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def sheet(page: AuditPage) -> Reply:
    """The page as CSV (RFC 4180), a line per entry, newest first."""
    rows = [
        (entry.id, entry.event, _json(entry.body), _json(entry.scope), _json(entry.trigger), entry.created_at)
        for entry in page.log
    ]
    lines = [",".join(_cell(text) for text in row) for row in (COLUMNS, *rows)]
    headers = [("Content-Disposition", 'attachment; filename="audit-log.csv"')]
    if page.meta.next_cursor:
        headers.append(("X-Next-Cursor", page.meta.next_cursor))
    return Reply("\r\n".join([*lines, ""]).encode(), CSV, headers=tuple(headers))


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def _cell(text: str) -> str:
    if text.startswith(_FORMULA):
        text = f"'{text}"
    return text if text.isalnum() else '"' + text.replace('"', '""') + '"'
