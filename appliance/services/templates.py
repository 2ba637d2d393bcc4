"""Templates: settings and variables that instances begin with, and which of them they may change."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec

from appliance.errors import NotFound
from appliance.model import Subject
from appliance.schema.catalogue import ChangeTemplate, CreateTemplate
from appliance.services import environment, hashes, setting_rules
from appliance.services.changes import differences
from appliance.services.context import Context, Recorder
from appliance.services.environment import Vault
from appliance.services.maker import Maker, check_description, given, in_use
from appliance.services.people import updates
from appliance.store import catalogue
from appliance.store.catalogue import TemplateRow
from appliance.store.engine import Tx
from appliance.store.ids import new_id

_PLAIN = ("name", "active", "description", "policy")


class Templates:
    """The templates of this box; administrators make them. Answers ids: reading is `Stacks`' part."""

    def __init__(self, context: Context, audit: Recorder) -> None:
        self._make = Maker(context, audit, what="a template", kind="template", body="template")

    async def create(self, subject: Subject, body: CreateTemplate) -> str:
        """Raises Invalid for a bad or taken name, `settings_validation` for settings against the rules."""
        empty = TemplateRow(
            id=new_id(),
            name=self._make.name(body.name),
            description=body.description,
            active=body.active,
            settings={},
            policy=setting_rules.checked_policy(body.policy),
            created_at=self._make.context.now_ms(),
            instance_count=0,
        )
        check_description(empty.description)
        settings = await asyncio.to_thread(hashes.hashed, body.settings)
        new = msgspec.structs.replace(empty, settings=self._settings(settings, empty))

        def work(tx: Tx) -> None:
            catalogue.add(tx, new)
            self._make.record(tx, "created", subject, new, {})

        await self._make.write(work, new.name)
        return new.id

    async def change(self, subject: Subject, template_id: str, body: ChangeTemplate) -> str:
        """What is left out stays. Instances have it from their next start. Raises NotFound, Invalid."""
        wanted = given(body)
        if "name" in wanted:
            wanted["name"] = self._make.name(wanted["name"])
        if "policy" in wanted:
            wanted["policy"] = setting_rules.checked_policy(wanted["policy"])
        settings = wanted.pop("settings", None)
        if settings is not None:
            settings = await asyncio.to_thread(hashes.hashed, settings)

        def work(tx: Tx) -> None:
            row = _get(tx, template_id)
            after = msgspec.structs.replace(row, **wanted)
            if settings is not None:
                after = msgspec.structs.replace(after, settings=self._settings(settings, row))
            check_description(after.description)
            catalogue.change(tx, after)
            changed = updates(*({name: getattr(each, name) for name in _PLAIN} for each in (row, after)))
            changed += differences(row.settings, after.settings)
            if changed:
                self._make.record(tx, "updated", subject, after, {"updates": changed})

        await self._make.write(work, str(wanted.get("name", "")))
        return template_id

    async def remove(self, subject: Subject, template_id: str) -> None:
        """Raises NotFound, Invalid `unexpected_error` while instances are made from it."""

        def work(tx: Tx) -> None:
            row = _get(tx, template_id)
            if row.instance_count:
                raise in_use("template", row.name, row.instance_count)
            catalogue.remove(tx, row)
            self._make.record(tx, "deleted", subject, row, {})

        await self._make.context.store.write(work)

    def _settings(self, wanted: dict[str, Any], row: TemplateRow) -> dict[str, Any]:
        """The settings to keep; passwords that come as `true`, and hidden variables without a value, are the old."""
        own = {key: value for key, value in wanted.items() if key != "env"}
        checked, _ = setting_rules.checked(own, {})
        after = setting_rules.laid_over({}, checked)
        for group, key in setting_rules.PASSWORDS:
            before, now = row.settings.get(group), own.get(group)
            if isinstance(before, dict) and isinstance(now, dict) and now.get(key) is True and before.get(key):
                after[group] = {**after.get(group, {}), key: before[key]}
        vault = Vault(self._make.context.box, row.id)
        listed = wanted.get("env") or []
        return after | {"env": environment.checked(listed, row.settings.get("env"), vault, policies=True)}


def _get(tx: Tx, template_id: str) -> TemplateRow:
    row = catalogue.template(tx, template_id)
    if row is None or row.id != template_id:
        raise NotFound("There is no such template.")
    return row
