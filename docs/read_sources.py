"""The errors and environment variables of the reference, read from the source code."""

import ast
import functools
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from earmark.transforms import annotate, decode_shard

ROOT = Path(__file__).parent.parent
PACKAGES = ("schemas", "model", "transforms", "scoring", "reporting", "pipeline")
# The stage that turns a package's RowErrors into failures: ReadManifest parses rows with schemas/, Annotate runs the
# engines of model/, and everything in transforms/ that raises a RowError is called by DecodeAudio.
STAGES = {"schemas": "ReadManifest", "model": annotate.STAGE, "transforms": decode_shard.STAGE}


@dataclass(frozen=True, order=True)
class KnownError:
    """An error that a row can fail with; in `message`, … is a placeholder for a value."""

    stage: str
    error: str
    message: str


@functools.cache
def row_errors() -> Sequence[KnownError]:
    """Every RowError that the sources can raise, in the order of the stages."""
    errors = set()
    for path, module in _modules("RowError(", STAGES):
        stage = STAGES[path.relative_to(ROOT).parts[0]]
        for scope in _scopes(module):
            for call in _calls(scope, "RowError"):
                message = _literal_text(call.args[1], scope)
                errors |= {KnownError(stage, code, message) for code in _codes(call.args[0], scope, module)}
    order = ["ReadManifest", decode_shard.STAGE, annotate.STAGE]
    return sorted(errors, key=lambda error: (order.index(error.stage), error))


def environment_variables() -> list[tuple[str, str]]:
    """Each variable that the sources read, with the first paragraph of the docstring of the function or module."""
    variables = {}
    for _, module in _modules("os.environ", PACKAGES):
        lists = {
            target.id: ast.literal_eval(node.value)
            for node in module.body
            if isinstance(node, ast.Assign)
            for target in node.targets
            if isinstance(target, ast.Name) and target.id.endswith("_VARIABLES")
        }
        for scope in _scopes(module):
            if "os.environ" not in ast.unparse(scope):
                continue
            for node in ast.walk(scope):
                names = [node.value] if isinstance(node, ast.Constant) and _is_looked_up(node, scope) else []
                names += lists.get(node.id, ()) if isinstance(node, ast.Name) else []
                docstring = ast.get_docstring(scope) or ast.get_docstring(module) or ""
                variables |= dict.fromkeys(names, docstring.partition("\n\n")[0])
    return sorted(variables.items())


def launch_settings() -> list[tuple[str, str]]:
    """Variables that deploy/dataflow/launch.sh reads, with their defaults."""
    return re.findall(r"\$\{(\w+):-([^}]*)\}", (ROOT / "deploy/dataflow/launch.sh").read_text(encoding="utf-8"))


def _modules(substring: str, packages: Iterable[str]) -> Iterator[tuple[Path, ast.Module]]:
    """The syntax trees of the files in packages, at any depth, that contain a substring."""
    for package in packages:
        for path in sorted((ROOT / package).rglob("*.py")):
            source = path.read_text(encoding="utf-8")
            if substring in source:
                yield path, ast.parse(source)


def _scopes(module: ast.Module) -> Iterator[ast.FunctionDef]:
    return (node for node in ast.walk(module) if isinstance(node, ast.FunctionDef))


def _calls(scope: ast.AST, name: str) -> Iterator[ast.Call]:
    for node in ast.walk(scope):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == name:
            yield node


def _codes(code: ast.expr, scope: ast.FunctionDef, module: ast.Module) -> list[str]:
    """The values of an error code: a literal, or an f-string whose parameter callers pass as a literal."""
    if isinstance(code, ast.Constant):
        return [str(code.value)]
    if not isinstance(code, ast.JoinedStr):
        return []  # the code of another RowError, which is listed where it is raised
    parameters = [argument.arg for argument in scope.args.args]
    calls = [
        {name: arg.value for name, arg in zip(parameters, call.args, strict=False) if isinstance(arg, ast.Constant)}
        for call in _calls(module, scope.name)
    ]
    return sorted({"".join(_part(part, values) for part in code.values) for values in calls})


def _literal_text(message: ast.expr, scope: ast.FunctionDef) -> str:
    """The text of a literal or f-string in the source; a name is looked up in the assignments of its function."""
    if isinstance(message, ast.Constant):
        return str(message.value)
    if isinstance(message, ast.JoinedStr):
        return "".join(_part(part, {}) for part in message.values)
    if isinstance(message, ast.Name):
        for node in ast.walk(scope):
            if isinstance(node, ast.Assign) and any(ast.unparse(target) == message.id for target in node.targets):
                return _literal_text(node.value, scope)
    return "…"


def _part(part: ast.expr, values: dict[str, object]) -> str:
    if isinstance(part, ast.Constant):
        return str(part.value)
    assert isinstance(part, ast.FormattedValue)
    return str(values.get(ast.unparse(part.value), "…"))


def _is_looked_up(name: ast.Constant, scope: ast.AST) -> bool:
    """Whether a name is read from the environment, by os.environ.get(name) or os.environ[name]."""
    for node in ast.walk(scope):
        is_getenv = isinstance(node, ast.Call) and ast.unparse(node.func) in ("os.environ.get", "os.getenv")
        if is_getenv and node.args and node.args[0] is name:
            return True
        is_lookup = isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Load) and node.slice is name
        if is_lookup and ast.unparse(node.value) == "os.environ":
            return True
    return False
