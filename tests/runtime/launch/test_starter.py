import inspect

from framework.runtime.launch.local import LocalStarter
from framework.runtime.launch.starter import Starter


def test_the_starter_of_this_machine_is_one() -> None:
    """It has every method of the protocol, with the same arguments."""
    methods = {name: method for name, method in vars(Starter).items() if inspect.isfunction(method) and name[0] != "_"}
    assert sorted(methods) == ["close", "exits", "start"]
    for name, method in methods.items():
        assert inspect.signature(getattr(LocalStarter, name)) == inspect.signature(method)
