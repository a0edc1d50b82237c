"""An installed earmark beside a user's own modules of common names, in a fresh environment."""

import os
import subprocess
import sys
import sysconfig
import venv
import zipfile

import pytest

from tests.support.jobs import TINY
from tests.support.paths import EXAMPLES, ROOT

pytestmark = pytest.mark.process

SCENES = EXAMPLES / "scenes" / "manifest.jsonl"
ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
FOLDERS = ("model", "pipeline", "reporting", "schemas", "scoring", "transforms")
SCRIPT = """
import sys
import model, pipeline, reporting, schemas, scoring, transforms
import earmark
summary = earmark.annotate(sys.argv[1], sys.argv[2], task="caption", model=sys.argv[3], limit=1)
import model.mine, schemas.mine
assert {model.mine.OWNER, schemas.mine.OWNER, pipeline.OWNER, transforms.OWNER} == {"the user"}
print(earmark.__file__)
print(summary.annotated, summary.failed)
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    options = ("--quiet", "--no-deps", "--no-index", "--no-build-isolation", "--wheel-dir", folder)
    subprocess.run([sys.executable, "-m", "pip", "wheel", *options, ROOT], check=True, timeout=180)
    (wheel,) = folder.glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def fresh_python(wheel, tmp_path_factory):
    """An interpreter whose environment has earmark's wheel; other packages are those of this environment."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, symlinks=True)
    (site,) = folder.glob("lib/python*/site-packages")
    with zipfile.ZipFile(wheel) as packed:
        packed.extractall(site)
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")  # its own .pth files are not read
    return folder / "bin" / "python"


def test_the_wheel_installs_one_package(wheel):
    names = {name.partition("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    assert {name for name in names if not name.endswith(".dist-info")} == {"earmark"}


def test_a_users_modules_of_the_same_names_shadow_nothing_and_are_not_shadowed(fresh_python, tmp_path):
    for name in FOLDERS:
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text('OWNER = "the user"\n')
        (tmp_path / name / "mine.py").write_text('OWNER = "the user"\n')
    (tmp_path / "job.py").write_text(SCRIPT)
    command = [fresh_python, "job.py", SCENES, tmp_path / "out", TINY]
    ended = subprocess.run(command, cwd=tmp_path, env=ENVIRONMENT, capture_output=True, text=True, timeout=300)
    assert ended.returncode == 0, ended.stderr
    location, counts = ended.stdout.splitlines()[-2:]
    assert location.startswith(str(fresh_python.parents[1]))
    assert counts == "1 0"


def test_a_module_called_model_py_beside_the_job_changes_nothing(fresh_python, tmp_path):
    for name in FOLDERS:
        (tmp_path / f"{name}.py").write_text('raise SystemExit("the wrong module")\n')
    command = [fresh_python, "-m", "earmark", "tasks"]
    ended = subprocess.run(command, cwd=tmp_path, env=ENVIRONMENT, capture_output=True, text=True, timeout=120)
    assert ended.returncode == 0, ended.stderr
    assert "transcribe" in ended.stdout
