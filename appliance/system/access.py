"""How browsers reach instances: each by a port, a host name or a path of its own. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import urlsplit

from msgspec import Struct

from appliance.config import Config
from appliance.errors import Invalid
from appliance.system.tls import AcceptedName, parse_name

PORT, HOST, PATH = "port", "host", "path"
PREFIX = "/i"  # of all paths, in the mode `path`
LONGEST_DOMAIN = 253 - 64  # leaves room for the longest name of an instance and a dot

_DOMAIN_HINT = 'Name the domain below which each instance gets a name: domain = "weir.example", under [ingress].'
_PATH_HINT = (
    "Prefer the modes port or host. Where everybody who may change one instance may be trusted with all of them: "
    "path_is_one_trust_domain = true, under [ingress]."
)


class Access(Struct, frozen=True):
    """The access mode of a box. `domain` may be set in every mode; names of instances lie below it in the mode `host`.

    Safe names of instances are lower case, and plain enough for a host name and a path.
    """

    mode: str
    https_port: int
    public_base: int
    domain: AcceptedName | None = None

    def path(self, safe_name: str) -> str:
        """What all paths of the instance begin with; empty where it has a whole origin. No slash at the end."""
        return f"{PREFIX}/{safe_name}" if self.mode == PATH else ""

    def own_host(self, safe_name: str) -> str:
        """The instance's own host name; empty where it has none."""
        return f"{safe_name}.{self.domain.name}" if self.mode == HOST and self.domain is not None else ""

    def bases(self, names: Iterable[str], number: int, safe_name: str) -> list[str]:
        """Every address of an instance in a browser, without a slash at the end; the first is the one to show.

        `names` are the accepted names as browsers write them, with the platform's port.
        """
        if (own := self.own_host(safe_name)) and self.domain is not None:
            return [f"https://{AcceptedName(own, self.domain.port).authority(self.https_port)}"]
        if self.mode == PATH:
            return [f"https://{name.lower().removesuffix(':443')}{self.path(safe_name)}" for name in names]
        return [f"https://{_with_port(bare(name), self.public_base + number)}" for name in names]

    def seen_from(self, origin: str, url: str, public_port: int) -> str:
        """`url` of an instance for a browser that reached the platform under `origin`."""
        parts = urlsplit(url)
        if self.mode == HOST:
            return url if parts.path else f"{url}/"
        if self.mode == PATH:
            return f"{origin}{parts.path or '/'}"
        host = urlsplit(origin).hostname or "localhost"
        return f"https://{_with_port(f'[{host}]' if ':' in host else host, public_port)}{parts.path or '/'}"

    def certified(self, names: Iterable[AcceptedName], former: AcceptedName | None = None) -> list[AcceptedName]:
        """What the certificate has to cover: the accepted names, and everything directly below the domain.

        One wildcard instead of each name: it tells a stranger who connects no names of instances, and an instance that
        is made or renamed needs no new certificate. Below the `former` domain people read where it went.
        """
        domains = dict.fromkeys(domain.name for domain in (self.domain, former) if domain is not None)
        return [*names, *(AcceptedName(f"*.{domain}") for domain in domains)]


class Former(Struct, frozen=True):
    """How instances were reached before: who still comes that way is told where they are now."""

    ports: bool = False
    paths: bool = False
    domain: AcceptedName | None = None


def access_of(config: Config) -> Access:
    """The access mode that the configuration asks for. Raises Invalid for one that can't be or isn't meant."""
    ingress, listen = config.ingress, config.listen
    domain = _domain(ingress.domain) if ingress.domain else None
    if ingress.mode not in (PORT, HOST, PATH):
        said = f"config.toml: ingress.mode = '{ingress.mode[:20]}' is no way to reach instances"
        raise Invalid(said, code="invalid_mode", hint='It is one of "port", "host" and "path".')
    if ingress.mode == HOST and domain is None:
        raise Invalid('config.toml: ingress.mode = "host" needs a domain', code="no_domain", hint=_DOMAIN_HINT)
    if ingress.mode == PATH and not ingress.path_is_one_trust_domain:
        raise Invalid(
            'config.toml: ingress.mode = "path" gives all instances and the platform one origin in browsers, so the '
            "editor and the pages of any instance can act on every other one, and on Weir, as whoever opens them",
            code="path_not_trusted",
            hint=_PATH_HINT,
        )
    return Access(ingress.mode, listen.https, listen.public_base, domain)


def bare(name: str) -> str:
    """An authority without its port, in lower case; an IPv6 address has brackets."""
    if name.startswith("["):
        return name.partition("]")[0].lower() + "]"
    return f"[{name}]".lower() if name.count(":") > 1 else name.partition(":")[0].lower()


def _domain(text: str) -> AcceptedName:
    try:
        domain = parse_name(text)
    except Invalid as error:
        raise Invalid(f"config.toml, ingress.domain: {error}", code=error.code, hint=error.hint) from error
    labels = domain.name.split(".")
    if ":" in domain.name or labels[-1].isdigit():
        why = "an address; nothing can be named below it"
    elif len(labels) < 2:
        # CA/Browser Forum BR 3.2.2.6; Chromium, Firefox and Safari refuse "*." directly below a top-level name.
        why = "a top-level name; browsers take no certificate for everything below one"
    elif len(domain.name) > LONGEST_DOMAIN:
        why = f"too long: with the name of an instance before it, at most {LONGEST_DOMAIN} characters fit"
    else:
        return domain
    raise Invalid(f"config.toml, ingress.domain: '{text}' is {why}", code="invalid_domain", hint=_DOMAIN_HINT)


def _with_port(host: str, port: int) -> str:
    return host if port == 443 else f"{host}:{port}"
