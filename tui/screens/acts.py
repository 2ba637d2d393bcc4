"""What can be done to instances, the same in the list and on the page of one."""

from __future__ import annotations

from tui.screens.frame import Frame


class Acts(Frame):
    """Methods for the actions of the scope `instance`; they act on `targets`."""

    def do_logs(self) -> None:
        self.owner.go("logs", self.targets())

    def do_start(self) -> None:
        self.owner.act_on(self.targets(), "start")

    def do_stop(self) -> None:
        self.owner.act_on(self.targets(), "stop")

    def do_restart(self) -> None:
        self.owner.act_on(self.targets(), "restart")

    def do_suspend(self) -> None:
        self.owner.act_on(self.targets(), "suspend")

    def do_safe(self) -> None:
        self.owner.act_on(self.targets(), "safe")

    def do_kill(self) -> None:
        self.owner.act_on(self.targets(), "kill")

    def do_delete(self) -> None:
        self.owner.act_on(self.targets(), "delete")

    def do_address(self) -> None:
        self.owner.act_on(self.targets(), "address")

    def do_shell(self) -> None:
        self.owner.act_on(self.targets(), "shell")
