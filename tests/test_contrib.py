"""
Commands, settings files and environments in ``contrib`` and on the pages for operators: a server
accepts each of them.
"""

from __future__ import annotations

import json
import re
import shlex
import shutil
import tomllib
from collections.abc import Iterator, Mapping
from typing import Any

import yaml
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SkipTest, SynchronousTestCase, TestCase

from rdv.commands.arguments import parse
from rdv.commands.serve import configuration_of
from rdv.server.configuration.checking import refusals
from rdv.server.configuration.reading import Configuration
from rdv.tap import Options
from tests.documents import literal_blocks
from tests.processes import PYTHON, ROOT, Program
from tests.servers import LISTENING, SystemTestCase

CONTRIB = ROOT / "contrib"
COMMAND = re.compile(r"(?:^|[ =/`(])((?:rdv serve|twist rdv)(?: [^`\n#]*)?)", re.MULTILINE)
#: Where a placeholder is used for a command.
PLACEHOLDERS = re.compile(r"\.\.\.|…")
TOML = ".. code-block:: toml"
#: Files and modules on a page are those of its own host.
ELSEWHERE = re.compile("No such file or directory|No module named")


def commands() -> Iterator[tuple[str, str]]:
    """Each command that starts a server, and in which file it stands."""
    for path in (*CONTRIB.rglob("*"), *ROOT.glob("docs/**/*.rst"), ROOT / "README.rst"):
        if not path.is_file():
            continue
        text = path.read_text(encoding="utf-8").replace("\\\n", " ")
        for command in COMMAND.findall(text):
            if not PLACEHOLDERS.search(command):
                yield str(path.relative_to(ROOT)), command.strip().rstrip(".,;:)")


class SettingsTestCase(SynchronousTestCase):
    def assert_taken(self, configuration: Configuration, where: str) -> None:
        """It can be, but for files that are not on this host."""
        reactor: Any = MemoryReactorClock()
        found = [each for each in refusals(reactor, configuration) if not ELSEWHERE.search(each)]
        self.assertEqual(found, [], where)

    def assert_file(self, content: str, where: str) -> None:
        """It is one of settings, or of something else."""
        path: str = self.mktemp()
        with open(path, "w") as file:
            file.write(content)
        self.assert_taken(Configuration({"config": path}, {}), where)


class CommandTests(SettingsTestCase):
    def read(self, command: str) -> Configuration | None:
        """What it says to a server; None if it is about something else."""
        words = [each for each in shlex.split(command)[2:] if each != "--check-config"]
        if "--config" in words:  # the file is tested by itself
            position = words.index("--config")
            del words[position : position + 2]
        if command.startswith("rdv serve"):
            return configuration_of(parse(["serve", *words]))
        options = Options()
        options.parseOptions(words)
        return None if options.subCommand else options.configuration()

    def test_commands(self) -> None:
        found = list(commands())
        self.assertIn("contrib/systemd/rdv.service", [where for where, _ in found])
        self.assertGreater(len(found), 15)
        for where, command in found:
            configuration = self.read(command)
            if configuration is not None:
                self.assert_taken(configuration, f"{where}: {command}")

    def test_files(self) -> None:
        """In the pages, and in Kubernetes' manifest."""
        count = 0
        for path in ROOT.glob("docs/**/*.rst"):
            for part in path.read_text(encoding="utf-8").split(TOML)[1:]:
                count += 1
                self.assert_file(literal_blocks(f"{TOML}{part}")[0], str(path))
        self.assertGreaterEqual(count, 2)


class ContainerTests(SettingsTestCase):
    def compose(self) -> Mapping[str, Any]:
        text = (CONTRIB / "docker/compose.yml").read_text()
        service: Mapping[str, Any] = yaml.safe_load(text)["services"]["rdv"]
        return service

    def manifests(self) -> Mapping[str, Any]:
        """Each by its kind."""
        text = (CONTRIB / "kubernetes/rdv.yaml").read_text()
        return {each["kind"]: each for each in yaml.safe_load_all(text)}

    def test_compose(self) -> None:
        """The server gets what it needs to stop in peace."""
        service = self.compose()
        configuration = Configuration({}, service["environment"])
        self.assert_taken(configuration, "compose.yml")
        self.assertEqual(service["stop_grace_period"], "75s")
        self.assertLess(configuration.settings.drain, 75)

    def test_kubernetes(self) -> None:
        manifests = self.manifests()
        content = manifests["ConfigMap"]["data"]["rdv.toml"]
        self.assert_file(content, "rdv.yaml")
        pod = manifests["Deployment"]["spec"]["template"]["spec"]
        self.assertEqual(tomllib.loads(content)["drain"], "60s")
        self.assertGreater(pod["terminationGracePeriodSeconds"], 60)
        (container,) = pod["containers"]
        command, *arguments = container["args"]
        self.assertEqual((command, arguments[0]), ("serve", "--config"))
        mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
        self.assertTrue(arguments[1].startswith(mounts["configuration"]))
        names = {port["name"]: port["containerPort"] for port in container["ports"]}
        settings = tomllib.loads(content)
        self.assertEqual([names["http"], names["https"]], [*settings["listen"], *settings["tls"]])

    def test_dockerfile(self) -> None:
        text = (CONTRIB / "docker/Dockerfile").read_text()
        environ = dict(re.findall(r"(RDV_SERVE_\w+)=(\S+)", text))
        self.assert_taken(Configuration({}, environ), "Dockerfile")
        self.assertEqual(environ["RDV_SERVE_LISTEN"], "8080")  # which HEALTHCHECK uses
        self.assertIn("\nUSER 65532", text)


class DockerTests(SystemTestCase):
    def command(self, instruction: str) -> list[str]:
        """What the Dockerfile has behind it, in its last stage."""
        text = (CONTRIB / "docker/Dockerfile").read_text().rpartition("\nFROM ")[2]
        found = re.search(rf"^{instruction}[^\[]*(\[.*\])$", text, re.MULTILINE)
        assert found
        words: list[str] = json.loads(found[1])
        return words

    async def test_life(self) -> None:
        """The server that Docker starts: whether it is well, and how it is stopped."""
        program, *arguments = self.command("ENTRYPOINT") + self.command("CMD")
        self.assertEqual(program, "rdv")
        server = self.rdv(*arguments, env={"RDV_SERVE_LISTEN": "127.0.0.1:0"})
        port = (await server.line(LISTENING))[1]
        program, *arguments = self.command("HEALTHCHECK")
        self.assertEqual(program, "python")
        arguments = [each.replace(":8080", f":{port}") for each in arguments]
        checking = Program(self, PYTHON, *arguments)
        self.assertEqual(await checking.ended, 0, checking.report())
        server.signal("TERM")
        self.assertEqual(await server.ended, 0, server.report())
        self.assertEqual(await Program(self, PYTHON, *arguments).ended, 1)


class LogrotateTests(TestCase):
    timeout = 60

    async def test_logrotate(self) -> None:
        """It understands its file."""
        program = shutil.which("logrotate", path="/usr/sbin:/usr/bin")
        if program is None:
            raise SkipTest("logrotate is not installed")
        state = self.mktemp()
        trying = Program(self, program, "-d", "-s", state, str(CONTRIB / "logrotate/rdv"))
        self.assertEqual(await trying.ended, 0, trying.report())
        self.assertNotIn(b"error", trying.stderr)
