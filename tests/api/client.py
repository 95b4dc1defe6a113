"""What a program did with fleet through its Python client (the package `fleet`). The argument is the path of the socket."""
import sys
import time
from urllib.parse import quote

import fleet.v1 as fleet


def wait_for(what, condition):
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


client = fleet.Client("http+unix://" + quote(sys.argv[1], safe=""))

machines = list(client.list_machines())
assert [machine["primaryIP"] for machine in machines] == ["192.0.2.1"], machines
assert list(client.list_units()) == []

unit = fleet.Unit(from_string="[Unit]\nDescription=Hello\n\n[Service]\nExecStart=/bin/sleep infinity\n")
unit.set_desired_state("launched")
created = client.create_unit("hello.service", unit)
assert created.name == "hello.service" and created.desiredState == "launched", created


def launched():
    return client.get_unit("hello.service").currentState == "launched"


wait_for("the unit is launched", launched)
(state,) = client.list_unit_states(unit_name="hello.service")
assert state["machineID"] == machines[0]["id"] and state["systemdActiveState"] == "active", state
assert list(client.list_unit_states(machine_id="no-such-machine")) == []
assert "ExecStart=/bin/sleep infinity" in str(client.get_unit("hello.service"))

client.set_unit_desired_state("hello.service", "inactive")
wait_for("the unit is gone from its machine", lambda: not list(client.list_unit_states(unit_name="hello.service")))

try:
    client.get_unit("none.service")
    raise AssertionError("there is no such unit")
except fleet.APIError as error:
    assert (error.code, error.message) == (404, "unit does not exist"), error

assert client.destroy_unit("hello.service")
assert list(client.list_units()) == []
