"""A Flink cluster on this machine, as separate processes on loopback: a JobManager, TaskManagers, Python workers.

What it runs is fetched by the Makefile (`make test-flink`). Flink's source distribution on the registry has no start
scripts, so the JVMs are started here, with every figure of memory that the scripts would work out.
"""

import contextlib
import json
import os
import shlex
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from tests.support.paths import ROOT

TOOLS = ROOT / ".tools"
JARS = TOOLS / "flink" / "pyflink" / "lib"
JOB_SERVER = TOOLS / "flink-job-server" / "job-server.jar"
BOOT = TOOLS / "bin" / "container"
MARK = "EARMARK_TEST_CLUSTER"  # in the environment of all of a cluster's processes: its folder
START_S = 120
STOP_S = 30

JOB_MANAGER = "org.apache.flink.runtime.entrypoint.StandaloneSessionClusterEntrypoint"
TASK_MANAGER = "org.apache.flink.runtime.taskexecutor.TaskManagerRunner"
JOB_MANAGER_HEAP = ("-Xmx512m",)
TASK_MANAGER_HEAP = ("-Xmx512m", "-XX:MaxDirectMemorySize=320m")
TASK_MANAGER_MEMORY = {
    "taskmanager.cpu.cores": "1.0",
    "taskmanager.memory.task.heap.size": "384m",
    "taskmanager.memory.task.off-heap.size": "0b",
    "taskmanager.memory.framework.heap.size": "128m",
    "taskmanager.memory.framework.off-heap.size": "128m",
    "taskmanager.memory.network.min": "192m",
    "taskmanager.memory.network.max": "192m",
    "taskmanager.memory.managed.size": "128m",
    "taskmanager.memory.jvm-metaspace.size": "256m",
    "taskmanager.memory.jvm-overhead.min": "192m",
    "taskmanager.memory.jvm-overhead.max": "192m",
}
# JDK 17 shuts Flink out of these without an option.
OPENED = ["lang", "util", "net", "io", "nio", "lang.reflect", "text", "time", "util.concurrent"]
JDK_17 = [
    *(f"--add-opens=java.base/java.{package}=ALL-UNNAMED" for package in OPENED),
    "--add-opens=java.base/sun.nio.ch=ALL-UNNAMED",
    "--add-exports=java.base/sun.net.util=ALL-UNNAMED",
]
RESTARTS = {
    "restart-strategy.type": "fixed-delay",
    "restart-strategy.fixed-delay.attempts": "10",
    "restart-strategy.fixed-delay.delay": "1 s",
}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class FlinkCluster:
    """A running cluster.

    Attributes:
        folder: Folder of configuration, logs and temporary files.
        master: Host and port of the JobManager's REST service.
    """

    folder: Path
    master: str
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def rest(self, path: str) -> Any:
        with urllib.request.urlopen(f"http://{self.master}{path}", timeout=10) as answer:
            return json.load(answer)

    def runner_flags(self, parallelism: int) -> list[str]:
        """The options with which `earmark annotate` runs a job on this cluster."""
        return [
            "--runner=FlinkRunner",
            f"--flink_master={self.master}",
            f"--flink_job_server_jar={JOB_SERVER}",
            "--environment_type=PROCESS",
            "--environment_config=" + json.dumps({"command": str(self.folder / "boot.sh")}),
            f"--parallelism={parallelism}",
        ]

    def start(self, name: str, main: str, memory: Sequence[str], *settings: str) -> None:
        logging = f"-Dlog4j.configurationFile={self.folder / 'log4j.properties'}"
        java = ["java", *memory, *JDK_17, logging, "-cp", f"{JARS}/*"]
        with open(self.folder / f"{name}.log", "ab") as log:
            self.processes[name] = subprocess.Popen(
                [*java, main, "--configDir", str(self.folder), *settings],
                stdout=log,
                stderr=log,
                cwd=self.folder,
                env={**os.environ, MARK: str(self.folder)},
            )

    def start_task_manager(self, name: str) -> None:
        memory = [text for key, value in TASK_MANAGER_MEMORY.items() for text in ("-D", f"{key}={value}")]
        self.start(name, TASK_MANAGER, TASK_MANAGER_HEAP, "-D", f"taskmanager.resource-id={name}", *memory)

    def wait_for_task_managers(self, count: int) -> None:
        deadline = time.monotonic() + START_S
        while (ready := self._task_managers()) is None or ready < count:
            assert time.monotonic() < deadline, f"no {count} TaskManagers; see the logs in {self.folder}"
            assert all(process.poll() is None for process in self.processes.values()), f"see {self.folder}"
            time.sleep(0.2)

    def _task_managers(self) -> int | None:
        """How many have reported; None while the JobManager does not answer."""
        try:
            return int(self.rest("/overview")["taskmanagers"])
        except OSError:
            return None

    def python_workers(self, task_manager: str) -> list[psutil.Process]:
        """The Python processes that a TaskManager has started, not their children."""
        below = psutil.Process(self.processes[task_manager].pid).children(recursive=True)
        return [process for process in below if _is_worker(process)]

    def stop(self) -> None:
        """Ends all processes, those too that have lost their parents, as those of a TaskManager that was killed."""
        for process in psutil.process_iter():
            if _works_for(process, self.folder):
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()
        for child in self.processes.values():
            child.wait(STOP_S)


def _is_worker(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess):
        return "sdk_worker_main" in " ".join(process.cmdline())
    return False


def _works_for(process: psutil.Process, folder: Path) -> bool:
    with contextlib.suppress(psutil.Error):
        return process.environ().get(MARK) == str(folder)
    return False


@contextlib.contextmanager
def flink_cluster(
    folder: Path, task_managers: int = 2, slots: int = 2, restarts: dict[str, str] = RESTARTS
) -> Iterator[FlinkCluster]:
    """A cluster that is up, and is gone afterwards."""
    cluster = FlinkCluster(folder, f"127.0.0.1:{free_port()}")
    _configure(cluster, slots, restarts)
    try:
        cluster.start("jobmanager", JOB_MANAGER, JOB_MANAGER_HEAP)
        for number in range(1, task_managers + 1):
            cluster.start_task_manager(f"taskmanager{number}")
        cluster.wait_for_task_managers(task_managers)
        yield cluster
    finally:
        cluster.stop()


def _configure(cluster: FlinkCluster, slots: int, restarts: dict[str, str]) -> None:
    host, port = cluster.master.split(":")
    settings = {
        "jobmanager.rpc.address": host,
        "jobmanager.rpc.port": free_port(),
        "jobmanager.bind-host": host,
        "taskmanager.host": host,
        "taskmanager.bind-host": host,
        "taskmanager.numberOfTaskSlots": slots,
        "rest.address": host,
        "rest.bind-address": host,
        "rest.port": port,
        "blob.server.port": 0,
        "io.tmp.dirs": cluster.folder / "tmp",
        **restarts,
    }
    (cluster.folder / "tmp").mkdir(parents=True)
    (cluster.folder / "config.yaml").write_text("".join(f"{name}: {value}\n" for name, value in settings.items()))
    (cluster.folder / "log4j.properties").write_text(LOGGING)
    boot = cluster.folder / "boot.sh"
    boot.write_text(
        BOOT_SCRIPT.format(
            python=shlex.quote(str(Path(sys.executable).parent)),
            repository=shlex.quote(str(ROOT)),
            folder=shlex.quote(str(cluster.folder)),
            boot=shlex.quote(str(BOOT)),
        )
    )
    boot.chmod(0o755)


LOGGING = """\
rootLogger.level = INFO
rootLogger.appenderRef.console.ref = Console
appender.console.name = Console
appender.console.type = CONSOLE
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = %d{HH:mm:ss,SSS} %-5p %c{1} - %m%n
"""

# Beam's program starts the Python of the PATH; a folder of its own for each start, as it would be in a container.
BOOT_SCRIPT = """#!/bin/sh
export PATH={python}:$PATH PYTHONPATH={repository} RUN_PYTHON_SDK_IN_DEFAULT_ENVIRONMENT=1
exec {boot} --semi_persist_dir=$(mktemp -d -p {folder}/tmp) "$@"
"""
