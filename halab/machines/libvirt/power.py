"""Power and plugs of machines that are virtual."""

from __future__ import annotations

from collections.abc import Callable
from xml.etree import ElementTree

from halab.clock import Clock, Deadline, NotYet, RealClock, wait_for
from halab.errors import LabProblem, TimedOut
from halab.machines import addresses
from halab.machines.libvirt import domains as libvirt_domains
from halab.machines.libvirt import limits
from halab.machines.libvirt.domains import Domains
from halab.machines.power import LabPower, PowerState

# systemd gives a service 90 s to stop.
_SHUT_DOWN_SECONDS = 120


class LibvirtPower(LabPower):
    """Power over the virtual machines of a lab; several threads may use it at once.

    `set_clock` is called with every machine that was thawed: its clock stopped while it was frozen.

    A reset is off and on: a guest does not survive libvirt's own reset while its firmware begins. QEMU 7.2's default
    machine keeps the firmware's copy in RAM mapped at a reset. If SeaBIOS is making that copy, the processor runs into
    memory that is not filled yet, and no further reset helps (seen three times, emulated).
    """

    def __init__(
        self,
        domains: Domains,
        *,
        set_clock: Callable[[str], None] = lambda machine: None,
        clock: Clock | None = None,
    ) -> None:
        self._domains = domains
        self._set_clock = set_clock
        self._clock = clock or RealClock()

    def state(self, machine: str) -> PowerState:
        return self._domains.state(machine)

    def shut_down(self, machine: str) -> None:
        """Press the power button until the machine is off. It is cut when the time is over."""
        if self.state(machine) is not PowerState.RUNNING:
            return

        def require_off() -> None:
            # a guest that is still booting does not notice the button: it is pressed again
            if self.state(machine) is PowerState.RUNNING:
                with self._domains.one(machine) as domain:
                    libvirt_domains.turn_off(domain, domain.shutdown)
            if self.state(machine) is not PowerState.OFF:
                raise NotYet("it is still running")

        deadline = Deadline.after(self._clock, _SHUT_DOWN_SECONDS * self._domains.lab.patience)
        try:
            wait_for(f"{machine} to shut down", require_off, deadline, every_seconds=1)
        except TimedOut:
            self.cut(machine)

    def start(self, machine: str) -> None:
        if self.state(machine) in (PowerState.OFF, PowerState.GONE):
            with self._domains.one(machine) as domain:
                domain.create()
        addresses.note(self._domains)

    def limit_cpus(self, machine: str, cpus: float | None) -> None:
        if cpus is None and self.state(machine) in (PowerState.OFF, PowerState.GONE):
            return  # the next start has no limit
        with self._domains.one(machine) as domain:
            limits.of_cpus(domain, self._domains.lab.machine(machine), cpus)

    def limit_writes(self, machine: str, per_second: int | None) -> None:
        if per_second is None and self.state(machine) in (PowerState.OFF, PowerState.GONE):
            return  # the next start has no limit
        with self._domains.one(machine) as domain:
            limits.of_writes(domain, self._domains.lab.machine(machine), per_second)

    def remove(self, machine: str) -> None:
        super().remove(machine)
        # Vagrant would log in to the next machine of that name with the key of this one
        addresses.forget(self._domains.work, machine)

    def _cut(self, machine: str) -> None:
        """End the process of the virtual machine; what its guest did not flush is lost."""
        with self._domains.one(machine) as domain:
            libvirt_domains.turn_off(domain, domain.destroy)

    def _freeze(self, machine: str) -> None:
        with self._domains.one(machine) as domain:
            domain.suspend()

    def _thaw(self, machine: str) -> None:
        with self._domains.one(machine) as domain:
            domain.resume()
        self._set_clock(machine)

    def _plug(self, machine: str, *, up: bool) -> None:
        """Switch the carrier of the machine's interface on the lab's network; a start brings it back."""
        import libvirt

        mac = self._domains.lab.machine(machine).mac
        with self._domains.one(machine) as domain:
            tree = ElementTree.fromstring(domain.XMLDesc())
            for interface in tree.findall("./devices/interface"):
                address = interface.find("mac")
                if address is not None and address.get("address") == mac:
                    for link in interface.findall("link"):
                        interface.remove(link)
                    ElementTree.SubElement(interface, "link", state="up" if up else "down")
                    xml = ElementTree.tostring(interface, encoding="unicode")
                    domain.updateDeviceFlags(xml, libvirt.VIR_DOMAIN_AFFECT_LIVE)
                    return
            raise LabProblem(f"no interface of {machine} has the address {mac}")

    def _discard(self, machine: str) -> None:
        with self._domains.connection.answering() as handle, self._domains.one(machine) as domain:
            libvirt_domains.discard(handle, domain)
