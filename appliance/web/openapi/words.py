"""What the OpenAPI document says in words: subjects, parameters, ways to authenticate, refusals."""

from __future__ import annotations

INTRODUCTION = (
    "Many Node-RED instances on one Linux box.\n\n"
    "Programs send a personal access token, `Authorization: Bearer ffpat_…`, which `weir token create NAME` makes. "
    "Root and the box's own account need none on its UNIX socket. A refusal is always "
    "`{code, error}`: a word for programs and a sentence for people; `hint` says what to do next. Unknown fields of "
    "bodies and unknown parameters are passed over. Times are UTC; lists go on behind `meta.next_cursor`."
)

# By the first word of the path below /api/v1.
TAGS = {
    "account": "Pages and routes of the login, for browsers and for editors (OAuth 2 with PKCE).",
    "admin": "What only administrators of the box do.",
    "applications": "Applications: groups of instances in a team.",
    "backups": "Backups of the box, for its administrators.",
    "box": "The box itself: its state, its problems, its names.",
    "events": "What happens, live.",
    "instances": "Instances by name, for people who type.",
    "launchers": "What launchers ask when they start.",
    "library": "What a team shares between its editors.",
    "logging": "What happened inside Node-RED.",
    "openapi": "This document.",
    "pages": "Pages and files for browsers.",
    "project-types": "Instance types: what kinds of instances teams may make.",
    "projects": "Instances: their life, settings, logs, figures and snapshots.",
    "search": "Finding things by a part of their name.",
    "settings": "Settings of the platform.",
    "snapshots": "Snapshots, by their own id.",
    "ssh": "Logins over SSH.",
    "stacks": "Stacks: versions of Node-RED that instances run on.",
    "storage": "What Node-RED keeps on the platform.",
    "team-types": "Types of teams: their limits.",
    "teams": "Teams, members and invitations.",
    "templates": "Templates: settings that instances begin with, and which of them may change.",
    "user": "The caller himself: account, tokens, invitations, notifications.",
    "users": "All accounts, for administrators.",
}

QUERY = {
    "applicationId": "Only instances of this application.",
    "associationsLimit": "How many of each kind are listed with an application.",
    "cursor": "Where to go on: `meta.next_cursor` of the page before.",
    "dir": "The direction of `sort`.",
    "event": "Only entries of these events; may be repeated.",
    "excludeOwnerFiltering": "Understood for older programs; changes nothing.",
    "filter": "`active`, `inactive` or `all`.",
    "includeApplicationDevices": "Understood for older programs; changes nothing.",
    "includeInstances": "Whether each application comes with its instances.",
    "includeMeta": "Whether each instance comes with its live state.",
    "instanceType": "Only instances of this type.",
    "limit": "How many at most.",
    "name": "A path inside the library.",
    "order": "Another name of `dir`.",
    "orderByMostRecentFlows": "Those whose flows were deployed last come first.",
    "page": "The number of the page, from 1; instead of `cursor`.",
    "query": "Only what contains this text, in any case.",
    "since": "Only samples after this time, in milliseconds since the epoch.",
    "sort": "The field by which the list is sorted.",
    "state": "Only instances in these states; may be repeated.",
    "team": "The id of the team that is looked through.",
    "type": "Only entries of this kind.",
    "username": "Only entries of this user.",
    "wait": "How many seconds to wait for the end.",
}

# `id` is named by the word before it in the path.
PATH = {
    "backup": "The id of the backup.",
    "entry": "The id of the entry.",
    "invitation": "The id of the invitation.",
    "kept": "The id of the kept deploy.",
    "key": "The id of the key.",
    "kind": "`project`: what kind of thing `owner` is.",
    "library": "The id of the team whose library it is.",
    "name": "The name.",
    "owner": "The id of the instance.",
    "path": "A path inside the library.",
    "slug": "The slug of the team.",
    "snapshot": "The id of the snapshot.",
    "team": "The id of the team.",
    "token": "The id of the token; of a reset, the code.",
    "type": "The kind of entries: `flows`, `functions`, `templates`.",
    "user": "The id of the user.",
}
THINGS = {
    "applications": "application",
    "instances": "instance, or its name",
    "library": "team",
    "logging": "instance",
    "project-types": "instance type",
    "projects": "instance",
    "snapshots": "snapshot",
    "stacks": "stack",
    "storage": "instance",
    "team-types": "team type",
    "teams": "team",
    "templates": "template",
    "users": "user",
    "invitations": "invitation",
    "notifications": "notification",
    "ssh-keys": "key",
    "tokens": "token",
}

WHO = {
    "api": "A user's bearer token, or the account on the other end of the box's socket.",
    "anyone": "Anyone; a user sees more.",
    "launcher": "The bearer token of this instance's launcher.",
    "node_red": "The bearer token of this instance's Node-RED.",
    "instance": "A bearer token of this instance.",
    "library": "A user's bearer token, or that of Node-RED in an instance of this team.",
    "bearer": "Any bearer token.",
    "browser": "A browser, with its session cookie where one is needed.",
    "public": "Anyone.",
}

SCHEMES = {
    "token": {
        "type": "http",
        "scheme": "bearer",
        "description": "A personal access token (`ffpat_…`): `weir token create NAME`.",
    },
    "launcher": {
        "type": "http",
        "scheme": "bearer",
        "description": "The token that a launcher got for its boot ticket; good for its own instance only.",
    },
    "nodeRed": {
        "type": "http",
        "scheme": "bearer",
        "description": "The token of the plugins in Node-RED; good for its own instance only.",
    },
    "session": {
        "type": "apiKey",
        "in": "cookie",
        "name": "__Host-weir_sid",
        "description": "The session of a browser. It opens pages, never the API.",
    },
}

# What each auth word of the route table is in the document: alternatives.
SECURITY: dict[str, list[dict[str, list[str]]]] = {
    "public": [],
    "anyone": [{}, {"token": []}],
    "api": [{"token": []}],
    "launcher": [{"launcher": []}],
    "node_red": [{"nodeRed": []}],
    "instance": [{"launcher": []}, {"nodeRed": []}],
    "library": [{"token": []}, {"nodeRed": []}],
    "bearer": [{"token": []}, {"launcher": []}, {"nodeRed": []}],
    "browser": [{}, {"session": []}],
}

# Status: code of the example, its sentence, and what the status means.
ERRORS: dict[int, tuple[str, str, str]] = {
    400: ("invalid_request", "the body does not fit: Object missing required field `name`", "It can't be done so."),
    401: ("unauthorized", "no token", "No credential, or one that is not known here."),
    403: ("unauthorized", "your role does not allow this", "Known, but not allowed."),
    404: ("not_found", "there is no such instance", "Not there, or not to be seen by whoever asks."),
    405: ("not_found", "this path takes no TRACE", "Another method; `Allow` says which."),
    409: ("invalid_project_name", "this name is taken", "It clashes with something that exists."),
    413: ("invalid_request", "the body is larger than 65536 bytes", "The body is too large."),
    415: ("invalid_request", "this route takes application/json, not text/plain", "The body is of another type."),
    422: ("invalid_application", "the application still has instances", "What there is stands against it."),
    429: ("too_many_requests", "too many attempts", "Too often; `Retry-After` says when again."),
    500: ("unexpected_error", "something failed inside Weir", "Weir's own fault; the log says more."),
    503: ("unavailable", "the launcher does not answer", "Something that this needs is away; may be tried again."),
}
