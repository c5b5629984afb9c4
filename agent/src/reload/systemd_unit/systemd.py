"""A template of python3-dbusmock: systemd's manager as far as a reload asks it.

The parameter "units" names for each unit what it does: "load" and "active" are its states, "result" is how a job ends, "delay_ms" how long it takes, "early" whether the
end is told before the call is answered, "refuse" an error [name, text], "exec" the command of its ExecReload=. Calls are written to the file "log", one a line.
"""

import subprocess

import dbus
from gi.repository import GLib

BUS_NAME = "org.freedesktop.systemd1"
MAIN_OBJ = "/org/freedesktop/systemd1"
MAIN_IFACE = "org.freedesktop.systemd1.Manager"
UNIT_IFACE = "org.freedesktop.systemd1.Unit"
SYSTEM_BUS = True


def load(mock, parameters):
    mock.subscribed = False
    mock.jobs = 0
    mock.log_file = parameters.get("log")
    mock.units = {str(name): unit for name, unit in parameters["units"].items()}
    for number, (name, unit) in enumerate(mock.units.items()):
        unit["path"] = f"{MAIN_OBJ}/unit/_{number}"
        states = {"Id": name, "LoadState": unit.get("load", "loaded"), "ActiveState": unit.get("active", "active")}
        mock.AddObject(unit["path"], UNIT_IFACE, states, [])


def note(mock, *words):
    if mock.log_file:
        with open(mock.log_file, "a", encoding="utf-8") as log:
            log.write(" ".join(str(word) for word in words) + "\n")


def unit_of(mock, name):
    if str(name) not in mock.units:
        raise dbus.exceptions.DBusException(f"Unit {name} not found.", name="org.freedesktop.systemd1.NoSuchUnit")
    unit = mock.units[str(name)]
    if "refuse" in unit:
        error, text = unit["refuse"]
        raise dbus.exceptions.DBusException(str(text), name=str(error))
    return unit


def queue(mock, method, name, mode):
    note(mock, method, name, mode)
    unit = unit_of(mock, name)
    mock.jobs += 1
    number, path = mock.jobs, dbus.ObjectPath(f"{MAIN_OBJ}/job/{mock.jobs}")

    def end():
        result = unit.get("result", "done")
        if "exec" in unit and subprocess.run([str(word) for word in unit["exec"]], check=False).returncode != 0:
            result = "failed"
        if mock.subscribed:
            # Another job of the same unit ends first: it is not the one that is waited for.
            other = dbus.ObjectPath(f"{MAIN_OBJ}/job/{number + 100000}")
            mock.EmitSignal(MAIN_IFACE, "JobRemoved", "uoss", [number + 100000, other, name, "canceled"])
            mock.EmitSignal(MAIN_IFACE, "JobRemoved", "uoss", [number, path, name, result])
        return False

    if unit.get("early"):
        end()
    else:
        GLib.timeout_add(int(unit.get("delay_ms", 1)), end)
    return path


@dbus.service.method(MAIN_IFACE, in_signature="", out_signature="")
def Subscribe(self):
    self.subscribed = True


@dbus.service.method(MAIN_IFACE, in_signature="s", out_signature="o")
def LoadUnit(self, name):
    if str(name) not in self.units:
        self.units[str(name)] = {"load": "not-found", "active": "inactive", "path": f"{MAIN_OBJ}/unit/_{len(self.units)}"}
        self.AddObject(self.units[str(name)]["path"], UNIT_IFACE, {"Id": name, "LoadState": "not-found", "ActiveState": "inactive"}, [])
    return dbus.ObjectPath(self.units[str(name)]["path"])


@dbus.service.method(MAIN_IFACE, in_signature="ss", out_signature="o")
def ReloadUnit(self, name, mode):
    return queue(self, "ReloadUnit", name, mode)


@dbus.service.method(MAIN_IFACE, in_signature="ss", out_signature="o")
def ReloadOrRestartUnit(self, name, mode):
    return queue(self, "ReloadOrRestartUnit", name, mode)


@dbus.service.method(MAIN_IFACE, in_signature="ssi", out_signature="")
def KillUnit(self, name, whom, signal):
    note(self, "KillUnit", name, whom, signal)
    unit_of(self, name)
