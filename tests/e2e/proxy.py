"""nginx with the configuration that is shipped, in front of servers of a test."""

import os
import shutil
import subprocess
from pathlib import Path
from typing import Self

from tests.ports import number_of, reserved_port
from tests.serving import PATIENCE_SECONDS, Server, until

SHIPPED = Path(__file__).parents[2] / "deploy" / "nginx.conf"


class Nginx:
    """A running nginx; a context manager that ends it."""

    def __init__(self, folder: Path, first: Server, second: Server) -> None:
        folder.mkdir()
        self._port_keeper = reserved_port()
        self.port = number_of(self._port_keeper)
        own = folder / "nginx.conf"
        own.write_text(self._configuration(folder, first, second))
        # As root its workers would be somebody who may not enter a test's folder.
        user = "user root;" if os.geteuid() == 0 else ""
        program = str(shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin"))
        with (folder / "stderr").open("wb") as log:
            self._process = subprocess.Popen(
                [program, "-p", str(folder), "-c", str(own), "-g", f"daemon off; {user}"],
                stdout=subprocess.DEVNULL,
                stderr=log,
            )
        self._log = folder / "stderr"
        self._is_up = folder / "nginx.pid"

    def __enter__(self) -> Self:
        until(lambda: self._is_up.exists() or self._process.poll() is not None)
        assert self._process.poll() is None, self.log()
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait(PATIENCE_SECONDS)
        self._port_keeper.close()

    def log(self) -> str:
        return self._log.read_text()

    def _configuration(self, folder: Path, first: Server, second: Server) -> str:
        """Return what is shipped, with other addresses and places, and nothing else changed."""
        text = SHIPPED.read_text()
        changes = {
            "server askonce-1:8000 ": f"server 127.0.0.1:{first.port} ",
            "server askonce-2:8000 ": f"server 127.0.0.1:{second.port} ",
            "listen 8000;": f"listen 127.0.0.1:{self.port};",
        }
        for shipped, own in changes.items():
            assert text.count(shipped) == 1, shipped
            text = text.replace(shipped, own)
        return text.replace(" /tmp/", f" {folder}/")


def is_installed() -> bool:
    """Return whether this machine has nginx."""
    return shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin") is not None
