"""Runs in processes of its own: a fit that is killed, and one of several gloo processes.

python worker.py killed METHOD FOLDER EPOCHS   dies by SIGKILL while it writes that state
python worker.py resumed METHOD FOLDER         goes on, fits again from nothing, compares
python worker.py share FOLDER METHOD...        trains; the first process saves weights and losses
"""

import functools
import importlib.util
import json
import os
import signal
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file

spec = importlib.util.spec_from_file_location("kits", Path(__file__).with_name("conftest.py"))
kits = importlib.util.module_from_spec(spec)
sys.modules["kits"] = kits
spec.loader.exec_module(kits)


say = functools.partial(print, flush=True)
SHORT = {"epochs": 4}


def killed(method: str, folder: str, epochs: str) -> None:
    written = []
    rename = os.replace

    def replace_or_die(source, target):
        if len(written) == int(epochs):
            os.kill(os.getpid(), signal.SIGKILL)
        written.append(target)
        rename(source, target)

    os.replace = replace_or_die
    kits.kit_of(method).fit(state=folder, options=SHORT)


def resumed(method: str, folder: str) -> None:
    kit = kits.kit_of(method)
    before = {p.name: p.stat().st_mtime_ns for p in Path(folder).glob("[!.]*.safetensors")}
    say("found", *sorted(before))
    one = kit.fit(state=folder, options=SHORT)
    other = kit.fit(options=SHORT)
    mine, theirs = one.net.state_dict(), other.net.state_dict()
    say("differing", [name for name in mine if not torch.equal(mine[name], theirs[name])])
    say("history", one.report.history == other.report.history)


def share(folder: str, *names: str) -> None:
    for name in names:
        found, records = kits.kit_of(name).in_double()
        if int(os.environ.get("RANK", "0")) == 0:
            save_file(found, Path(folder) / f"{name}.safetensors")
            (Path(folder) / f"{name}.json").write_text(json.dumps(records))
    if torch.distributed.is_initialized():
        say("processes", torch.distributed.get_world_size())
        torch.distributed.destroy_process_group()


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])
