"""`weir instance copy`: an instance like another one."""

from __future__ import annotations

from argparse import Namespace
from typing import Any

from appliance.schema.instances import Instance
from tui.cli.deletion import confirm
from tui.cli.instances import resolve
from tui.cli.session import Session, print_json
from tui.text import visible
from tui.wire import decode


def copy_instance(session: Session, args: Namespace) -> None:
    """Make a copy, or overwrite an instance after its name was typed."""
    options: dict[str, Any] = {
        "flows": True,
        "credentials": not args.no_credentials,
        "envVars": False if args.env == "none" else args.env,
        "settings": not args.no_settings,
        "template": not args.over,
    }
    with session.box() as box:
        source = resolve(box, args.name)
        body: dict[str, Any] = {"sourceProject": {"id": source.id, "options": options}}
        if args.over:
            target = resolve(box, args.target)
            if not args.yes:
                confirm(session, target.name, f"This replaces the flows of {visible(target.name)}.")
            answer = box.put(f"/projects/{target.id}", body)
        else:
            body |= {"name": args.target, "applicationId": source.application.id}
            answer = box.post("/projects", body)
    if args.json:
        print_json(answer)
        return
    made = decode(answer, Instance)
    said = f"is like {visible(source.name)} now and restarts" if args.over else "is made and starts"
    print(f"{visible(made.name)} {said}: {visible(made.url)}")
