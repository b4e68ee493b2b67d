"""Adds the command line to the wheel, where `deno task pack --python` has put it into bin/."""

import os
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class CommandLine(BuildHookInterface[Any]):
    """Makes a wheel for one kind of machine, which FORKSTACK_WHEEL_PLATFORM names: `"manylinux_2_17_x86_64"`."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        platform = os.environ.get("FORKSTACK_WHEEL_PLATFORM")
        if platform is None:
            return
        programs = os.path.join(self.root, "bin")
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{platform}"
        build_data["shared_scripts"].update({os.path.join(programs, name): name for name in os.listdir(programs)})
