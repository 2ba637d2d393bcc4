"""The screens' application: goes from screen to screen, carries out commands, and asks the box for changes."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from typing import ClassVar

from textual.app import App
from textual.binding import Binding, BindingType
from textual.events import Key

from appliance.schema.instances import Instance
from tui import crash, keys
from tui.address import Address
from tui.client import Client
from tui.errors import BoxError
from tui.keys import Action, Keys
from tui.live import Live
from tui.names import Names
from tui.profile import Profile
from tui.remap import Own, read_own
from tui.screens import opener
from tui.screens.frame import NO_SANDBOX, Frame
from tui.screens.instances import InstancesScreen
from tui.screens.registry import PLACES, Place
from tui.signs import Kind
from tui.state import Known
from tui.terminal import ends_with_terminal
from tui.theme import Theme
from tui.visits import Visit, Visits

DOING = {"start": "starting", "stop": "stopping", "restart": "restarting", "suspend": "suspending"}
DOING |= {"restartSafe": "restarting in safe mode", "kill": "ending it at once, and starting it again"}
# What is done after the name was typed: the API's word, and what is asked, of one and of several.
SURE = {
    "delete": ("delete", "to delete it with its flows and files", "to delete them with their flows and files"),
    "safe": ("restartSafe", "to stop its flows and open the editor", "to stop their flows and open the editors"),
    "kill": ("kill", "to end it in the middle of what it does", "to end them in the middle of what they do"),
}
DEEPEST = 8  # screens on top of each other


def run(address: Address, profile: Profile) -> None:
    """Show the screens until the user quits or the terminal is gone."""
    shown: list[WeirApp] = []
    with ends_with_terminal(sys.stdin.fileno(), lambda: shown[-1].leave()):
        box: Address | None = address
        while box is not None:
            app = WeirApp(Client(box), profile, own=read_own() if profile.files else None)
            shown[:] = [app]
            # Without mouse reports the terminal's own selecting and copying works, and fewer bytes travel.
            app.run(mouse=False)
            if app.fault is not None:
                raise crash.told(app.fault) from app.fault
            box = app.next_box


class WeirApp(App[None]):
    """Owns the client and what is known. The instances stay at the bottom; other screens are made when gone to."""

    TITLE = "weir"
    ENABLE_COMMAND_PALETTE = False
    BINDINGS: ClassVar[list[BindingType]] = [Binding("ctrl+c", "quit", "quit", show=False, priority=True)]

    def __init__(self, client: Client, profile: Profile, *, own: Own | None = None) -> None:
        # The terminal's own colours and background: cheapest on the wire, and right on a light terminal too.
        super().__init__(ansi_color=True)
        self.client = client
        self.profile = profile
        self.looks = Theme(profile)
        self.known = Known()
        self.names = Names(client, self.known, profile)
        self.own = own or Own()
        self.keys = Keys(self.own.keys)
        self.visits = Visits(Visit("inst"))
        self.typed_before: list[str] = []
        self.live = Live(client, self.known, profile, changed=self._changed, told=self._tell, heard=self._pass_on)
        self.next_box: Address | None = None  # where to go when this application has ended
        self._dirty = False
        self._main: asyncio.AbstractEventLoop | None = None

    def on_mount(self) -> None:
        self._main = asyncio.get_running_loop()
        self.push_screen(InstancesScreen(self))
        live = self.live
        work = {"events": live.watch, "instances": live.load, "rights": live.learn_rights}
        for name, start in {**work, "status": live.measure, "pictures": live.draw}.items():
            self.run_worker(start(), exit_on_error=False, name=name)
        if self.own.mistakes:
            self.call_after_refresh(self._tell, self.own.mistakes[0])

    async def on_unmount(self) -> None:
        await self.client.close()

    def on_key(self, event: Key) -> None:
        self.live.typed()

    @property
    def fault(self) -> Exception | None:
        """What ended the screens against their will."""
        return self._exception

    def _fatal_error(self) -> None:
        # textual's own prints the trace with all local variables, tokens among them, and keeps it all in memory
        # (https://github.com/Textualize/textual/issues/3069).
        self._close_messages_no_wait()

    def leave(self) -> None:
        """Quit; may be called from any thread and never waits."""
        if self._main is not None and not self._main.is_closed():
            self._main.call_soon_threadsafe(self.exit)

    # -- what is known ------------------------------------------------------------------------------
    def reload(self) -> None:
        """Ask the box for everything again, whether it is away or not."""
        self.live.ask_now()

    def _changed(self, at_once: bool) -> None:
        """Paint soon, once for all changes until then."""
        if at_once:
            self._paint()
        elif not self._dirty:
            self._dirty = True
            self.set_timer(self.profile.repaint_s, self._paint)

    def _paint(self) -> None:
        self._dirty = False
        if len(self.screen_stack) > 1:  # there is none while the application opens or closes
            self.frame.repaint()

    def _tell(self, text: str) -> None:
        if len(self.screen_stack) > 1:
            self.frame.say(text, Kind.BAD)

    def _pass_on(self, kind: str, ident: str) -> None:
        if len(self.screen_stack) > 1:
            self.frame.heard(kind, ident)

    # -- going about --------------------------------------------------------------------------------
    @property
    def frame(self) -> Frame:
        """The screen on top."""
        assert isinstance(self.screen, Frame)
        return self.screen

    @property
    def path(self) -> list[Frame]:
        """The screens from the first to the one on top."""
        return [each for each in self.screen_stack if isinstance(each, Frame)]

    def go(self, word: str, about: Sequence[Instance] = ()) -> None:
        """Show the screen of that word, about these instances where it is about any."""
        place = keys.place_of(word)
        if place is None or not self.has(place.needs) or not self.known.may(place.permission, about):
            self.frame.say(f"there is no screen '{word}' for you", Kind.BAD)
        elif place.about and not about:
            self.frame.say(f"say which instance: :{place.word} NAME", Kind.BAD)
        else:
            about = about if place.word == "logs" else about[:1]
            visit = Visit(place.word, tuple(each.id for each in about) if place.about else ())
            self.visits.go(visit)
            self._show(visit, place, about)

    def _show(self, visit: Visit, place: Place, about: Sequence[Instance]) -> None:
        if visit == self.frame.visit:
            return
        shown = [each.visit for each in self.path]
        if visit in shown:
            for _ in range(len(shown) - 1 - shown.index(visit)):
                self.pop_screen()
            self.frame.repaint()
            return
        new = opener.load(place)(self, tuple(about))
        new.visit = visit
        top = self.frame
        beside = place.tab and top.tab and top.visit is not None and top.visit.about[:1] == visit.about[:1]
        if beside or len(shown) >= DEEPEST:
            self.switch_screen(new)
        else:
            self.push_screen(new)

    def again(self, visit: Visit | None) -> None:
        """Show what was visited before; it may be gone by now."""
        if visit is None:
            self.frame.say("there is nothing in that direction")
            return
        place = keys.place_of(visit.word)
        about = [each for ident in visit.about if (each := self.known.instances.get(ident))]
        if place is None or (place.about and not about):
            self.frame.say("it is not there any more", Kind.BAD)
        else:
            self._show(visit, place, about)

    def back(self, *, quit_at_first: bool = False) -> None:
        """Leave the screen; the first one is left only by quitting."""
        if len(self.path) > 1:
            self.pop_screen()
            if self.frame.visit is not None:
                self.visits.go(self.frame.visit)
            self.frame.repaint()
        elif quit_at_first:
            self.exit()

    def has(self, needs: str) -> bool:
        """Whether what an action needs is to be had from here: files of this machine, or a shell. Where instances have
        no sandbox, only administrators get one: it would own the whole box."""
        if needs == "shell":
            status = self.known.status
            return status is not None and (status.appliance.sandbox or self.known.rights.may("settings:edit"))
        return self.profile.files if needs == "files" else True

    def offers(self, what: Action | Place) -> bool:
        """Whether it can be had by who is at the screens, wherever he may do it."""
        return self.has(what.needs) and self.known.may(what.permission)

    # -- commands -----------------------------------------------------------------------------------
    def words(self) -> list[str]:
        """What can be typed after `:` here and now."""
        scopes = self.frame.scopes
        places = [each.word for each in PLACES if self.offers(each)]
        found = [each for group in keys.commands().values() for each in group]
        fit = [each for each in found if each.scope in (*scopes, keys.INSTANCE) and self.offers(each)]
        return [*places, *(each.command for each in fit)]

    def command(self, text: str) -> None:
        """Carry out what was typed after `:`; a name may follow the word."""
        self.typed_before = [*(each for each in self.typed_before if each != text), text][-50:]
        word, _, rest = text.partition(" ")
        place, action = keys.place_of(word), self._action(word)
        if action is not None and action.scope in self.frame.scopes and action.scope != keys.INSTANCE:
            self.frame.act(action)  # what the screen itself calls so comes first
        elif place is not None and self.offers(place):
            if (about := self._named(rest) if place.about else []) is not None:
                self.go(place.word, about)
                if rest and not place.about and self.frame.word == place.word:
                    self.frame.named(rest)
        elif action is not None and action.needs == "shell" and not self.offers(action):
            said = NO_SANDBOX if self.known.may(action.permission) else "your role does not let you open shells"
            self.frame.say(said, Kind.BAD)
        elif action is None or not self.offers(action):
            self.frame.say(f"'{word}' is no command; ? lists them", Kind.BAD)
        elif action.scope == keys.INSTANCE:
            if (about := self._named(rest)) is not None:
                self.act_on(about, action.id)
        else:
            self.frame.say(f"'{word}' is for {keys.SCOPES[action.scope].lower()}", Kind.BAD)

    def _action(self, word: str) -> Action | None:
        found = keys.commands().get(word, [])
        here = [each for each in found if each.scope in self.frame.scopes]
        return next(iter(here or found), None)

    def _named(self, rest: str) -> list[Instance] | None:
        """The instances that are named, or meant here; None, said why, when one is not there."""
        names = rest.split()
        if not names:
            return list(self.frame.targets())
        found = []
        for name in [rest.strip()] if self.known.find(rest.strip()) else names:
            each = self.known.find(name)
            if each is None:
                self.frame.say(f"there is no instance '{name}'", Kind.BAD)
                return None
            found.append(each)
        return found

    def act_on(self, about: Sequence[Instance], what: str) -> None:
        """Do an action of the key table to instances."""
        if not about:
            self.frame.say("there is no instance here", Kind.BAD)
        elif what == "address":
            self.frame.say(about[0].url, "name")
        elif what in SURE:
            self._once_sure(list(about), what)
        elif what == "shell":
            from tui.screens.shell import open_shell

            open_shell(self.frame, about[0])
        else:
            self.run_worker(self._ask(list(about), what), exit_on_error=False, name=what)

    def _once_sure(self, about: list[Instance], what: str) -> None:
        word, of_one, of_several = SURE[what]
        one = len(about) == 1

        def go() -> None:
            self.run_worker(self._ask(about, word), exit_on_error=False, name=what)

        self.frame.confirm(about[0].name if one else f"{what} {len(about)}", of_one if one else of_several, go)

    async def _ask(self, about: list[Instance], action: str) -> None:
        """One after the other; what is refused does not keep the others from being done."""
        names = about[0].name if len(about) == 1 else f"{len(about)} instances"
        self.frame.say(f"{names}: {DOING.get(action, 'deleting')}")
        for each in about:
            try:
                if action == "delete":
                    await self.client.delete(f"/projects/{each.id}")
                else:
                    await self.client.post(f"/projects/{each.id}/actions/{action}")
            except BoxError as error:
                self.frame.say(f"{each.name}: {error.message} {error.hint}".strip(), Kind.BAD)
                if getattr(error, "status", 0) == 403:
                    self.live.recheck_rights()
