"""Rows of the route table: backups of the box."""

from __future__ import annotations

from appliance.schema.backups import (
    Backup,
    BackupKey,
    Backups,
    BackupSchedule,
    BackupWork,
    ChangeKey,
    ChangeSchedule,
    CreateBackup,
    OpenBackup,
    WorkQuery,
)
from appliance.schema.common import Status
from appliance.web.handlers import backups
from appliance.web.routes.rows import delete, get, post, put

# One of the list; the words below are paths of their own, with methods of their own.
BACKUP = "{backup:(?!key$|work$|schedule$)[^/]+}"

BACKUPS = (
    get("/backups", backups.listed, Backups, "backup:list", "Backups, their schedule, and what is being done."),
    post(
        "/backups",
        backups.create,
        BackupWork,
        "backup:create",
        "Begin a backup; `GET /backups/work` tells how it goes.",
        body=CreateBackup,
        status=202,
    ),
    get(
        "/backups/work",
        backups.work,
        BackupWork,
        "backup:list",
        "What is being done about backups, or was done last.",
        query=WorkQuery,
    ),
    delete("/backups/work", backups.cancel, Status, "backup:create", "End what is being done; nothing of it stays."),
    put(
        "/backups/schedule",
        backups.change_schedule,
        BackupSchedule,
        "backup:edit",
        "Say when backups are made by themselves, and where they go.",
        body=ChangeSchedule,
    ),
    post(
        "/backups/key",
        backups.change_key,
        BackupKey,
        "backup:edit",
        "Use another key for backups from now on; a new one's secret is shown this once.",
        body=ChangeKey,
    ),
    get(f"/backups/{BACKUP}", backups.get, Backup, "backup:list", "One backup."),
    post(
        "/backups/{backup}/verify",
        backups.verify,
        BackupWork,
        "backup:create",
        "Begin to restore it into a scratch directory and to start what is in it, without its flows.",
        body=OpenBackup,
        status=202,
    ),
    delete(f"/backups/{BACKUP}", backups.remove, Status, "backup:edit", "Remove a backup with its file."),
)
