"""
``docs/howto/ssh.rst``, with OpenSSH's client and server.
"""

from __future__ import annotations

import getpass
import os
import shutil
import socket
from pathlib import Path

from twisted.trial.unittest import SkipTest

from tests.documents import Shell, replaced, runs
from tests.processes import Program
from tests.servers import MEGABYTE, SystemTestCase, noise

HOWTO = "docs/howto/ssh.rst"
URL = "https://example.com/rdv"
TOKEN = "rdv token"
#: An empty folder that a server run by root requires. It is not removed: others may be using it.
SEPARATION = Path("/run/sshd")
SSHD = """\
ListenAddress 127.0.0.1:{port}
HostKey {folder}/host_key
AuthorizedKeysFile {folder}/user_key.pub
PidFile none
UsePAM no
StrictModes no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
Subsystem sftp internal-sftp
"""
SSH = """\
IdentityFile {folder}/user_key
IdentitiesOnly yes
UserKnownHostsFile {folder}/known_hosts
GlobalKnownHostsFile /dev/null
StrictHostKeyChecking yes
BatchMode yes
User {user}
"""


class SSHTestCase(SystemTestCase):
    """
    An SSH server of the test's own, and clients that know its key.

    :ivar shell: where the commands of the document run.
    :ivar exposing: ``rdv expose`` for it.
    """

    timeout = 120

    async def begin(self, token: str, expose: str) -> None:
        """Make a secret, start both servers, and expose the one by way of the other."""
        for program in ("ssh", "ssh-keygen"):
            if shutil.which(program) is None:
                raise SkipTest(f"{program} is not installed")
        self.shell = Shell(self)
        self.folder = self.shell.folder
        self.folder.chmod(0o700)
        for name in ("host_key", "user_key"):
            keygen = f"ssh-keygen -q -t ed25519 -N '' -C {name} -f {name}"
            await self.run_to_end(self.shell.start(keygen))
        host_key = (self.folder / "host_key.pub").read_text()
        (self.folder / "known_hosts").write_text(f"home {host_key}")
        self.configure("")
        await self.run_to_end(self.shell.script(token))
        await self.start_sshd()
        await self.serve()
        expose = self.here(replaced(expose, ("127.0.0.1:22", self.sshd)))
        self.exposing = self.shell.start(expose)
        await self.exposing.line("^WAITING: ")

    def configure(self, block: str) -> None:
        """What a user has in ``~/.ssh/config``; ssh and its kin do not look for that in $HOME."""
        config = self.folder / "config"
        own = SSH.format(folder=self.folder, user=getpass.getuser())
        config.write_text(f"{self.here(block) if block else ''}\nHost *\n{own}")
        for name in ("ssh", "scp"):
            program = self.folder / "bin" / name
            program.write_text(f'#!/bin/sh\nexec {shutil.which(name)} -F "{config}" "$@"\n')
            program.chmod(0o755)

    async def start_sshd(self) -> None:
        """On loopback, with nothing of the system's configuration."""
        path = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin")
        if path is None:
            raise SkipTest("sshd is not installed")
        if os.getuid() == 0:
            SEPARATION.mkdir(mode=0o755, exist_ok=True)
        # Only sshd can get the port, because it sets SO_REUSEADDR, too.
        reserved = socket.socket()
        self.addCleanup(reserved.close)
        reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        reserved.bind(("127.0.0.1", 0))
        port = reserved.getsockname()[1]
        self.sshd = f"127.0.0.1:{port}"
        config = self.folder / "sshd_config"
        config.write_text(SSHD.format(port=port, folder=self.folder))
        server = Program(self, path, "-D", "-e", "-f", str(config))
        await server.line("Server listening on")

    def here(self, command: str) -> str:
        """With the URL of the test's server, on loopback."""
        return replaced(command, (URL, f"--spaces loopback {self.url}"))

    async def run_to_end(self, program: Program) -> bytes:
        """It ends well; what it has said."""
        self.assertEqual(await program.ended, 0, program.report())
        return bytes(program.stdout)


class SSHTests(SSHTestCase):
    @runs(HOWTO, TOKEN, "rdv expose", "ssh -o ProxyCommand")
    async def test_command(self, token: str, expose: str, ssh: str) -> None:
        """A command there, and its exit status. ``rdv`` changes nothing of what SSH checks."""
        await self.begin(token, expose)
        self.assertEqual((self.folder / "home.secret").stat().st_mode & 0o777, 0o600)
        program = self.shell.start(f"{self.here(ssh)} 'cat; echo done >&2; exit 7'")
        program.write(b"through all of it")
        program.close_stdin()
        self.assertEqual(await program.ended, 7, program.report())
        self.assertEqual(program.stdout, b"through all of it")
        self.assertEqual(program.stderr, b"done\n")  # nothing disturbs it
        known = self.folder / "known_hosts"
        known.write_text(known.read_text().replace("home", "elsewhere"))
        program = self.shell.start(f"{self.here(ssh)} true")
        self.assertEqual(await program.ended, 255, program.report())
        self.assertIn(b"Host key verification failed", program.stderr)

    @runs(HOWTO, TOKEN, "rdv expose", "Host home", "scp film.mkv")
    async def test_files(self, token: str, expose: str, config: str, scp: str) -> None:
        """Some megabytes by scp, there and back, and by stdout; a session that is cut fails."""
        await self.begin(token, expose)
        self.configure(config)
        content = noise(1, 8 * MEGABYTE)
        (self.folder / "film.mkv").write_bytes(content)
        there = self.folder / "there"
        await self.run_to_end(self.shell.start(replaced(scp, ("home:", f"home:{there}"))))
        self.assertEqual(there.read_bytes(), content)
        await self.run_to_end(self.shell.start(f"scp home:{there} back"))
        self.assertEqual((self.folder / "back").read_bytes(), content)
        output = await self.run_to_end(self.shell.start(f"ssh home cat {there}"))
        self.assertTrue(output == content)
        program = self.shell.start("ssh home 'echo begun; exec sleep 1000'")
        await program.line("^begun$")
        self.exposing.signal("KILL")
        self.assertEqual(await program.ended, 255, program.report())

    @runs(HOWTO, TOKEN, "rdv expose", "rdv connect", "ssh -o HostKeyAlias")
    async def test_sessions_that_begin_at_once(
        self, token: str, expose: str, connect: str, ssh: str
    ) -> None:
        await self.begin(token, expose)
        connecting = self.shell.start(self.here(replaced(connect, ("--listen 2222", "--listen 0"))))
        port = (await connecting.line(r"^LISTENING: 127\.0\.0\.1:(\d+)$"))[1]
        command = replaced(ssh, ("2222", port))
        sessions = [self.shell.start(f"{command} echo {number}") for number in range(6)]
        for number, session in enumerate(sessions):
            self.assertEqual(await self.run_to_end(session), b"%d\n" % number)
