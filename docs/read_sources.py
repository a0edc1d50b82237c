"""What the reference says of errors and the environment: read from the sources, where the words are written."""

import ast
import functools
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from earmark.transforms import annotate, decode_shard

ROOT = Path(__file__).parent.parent
PACKAGES = ("schemas", "model", "transforms", "scoring", "reporting", "pipeline")
# Who gives a recording up: engines are asked in Annotate, all of transforms/ that can fail works for DecodeAudio.
STAGES = {"schemas": "ReadManifest", "model": annotate.STAGE, "transforms": decode_shard.STAGE}


@dataclass(frozen=True, order=True)
class KnownError:
    """An error that a row can fail with; in `message`, … stands for what is known only then."""

    stage: str
    error: str
    message: str


@functools.cache
def row_errors() -> Sequence[KnownError]:
    """Every RowError that the sources can raise, in order of stages."""
    found = set()
    for path, module in _modules("RowError(", STAGES):
        for scope in _scopes(module):
            for call in _calls(scope, "RowError"):
                message = _written(call.args[1], scope)
                for error in _errors(call.args[0], scope, module):
                    found.add(KnownError(STAGES[path.parent.name], error, message))
    order = ["ReadManifest", decode_shard.STAGE, annotate.STAGE]
    return sorted(found, key=lambda one: (order.index(one.stage), one))


def environment_variables() -> list[tuple[str, str]]:
    """Variables that the sources look up, each with what the function that does so, or its module, says of itself."""
    found = {}
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
                for name in names:
                    about = ast.get_docstring(scope) or ast.get_docstring(module) or ""
                    found[name] = about.partition("\n\n")[0]
    return sorted(found.items())


def launch_settings() -> list[tuple[str, str]]:
    """What deploy/dataflow/launch.sh takes from the environment, with its defaults."""
    return re.findall(r"\$\{(\w+):-([^}]*)\}", (ROOT / "deploy/dataflow/launch.sh").read_text(encoding="utf-8"))


def _modules(with_words: str, packages: Iterable[str]) -> Iterator[tuple[Path, ast.Module]]:
    for package in packages:
        for path in sorted((ROOT / package).glob("*.py")):
            source = path.read_text(encoding="utf-8")
            if with_words in source:
                yield path, ast.parse(source)


def _scopes(module: ast.Module) -> Iterator[ast.FunctionDef]:
    return (node for node in ast.walk(module) if isinstance(node, ast.FunctionDef))


def _calls(scope: ast.AST, name: str) -> Iterator[ast.Call]:
    for node in ast.walk(scope):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == name:
            yield node


def _errors(code: ast.expr, scope: ast.FunctionDef, module: ast.Module) -> list[str]:
    """The codes that an expression can be: a text, or one with a parameter in it that callers give as text."""
    if isinstance(code, ast.Constant):
        return [str(code.value)]
    if not isinstance(code, ast.JoinedStr):
        return []  # the code of another RowError, which is listed where it is made
    parameters = [argument.arg for argument in scope.args.args]
    given = [
        {name: one.value for name, one in zip(parameters, call.args, strict=False) if isinstance(one, ast.Constant)}
        for call in _calls(module, scope.name)
    ]
    return sorted({"".join(_part(part, values) for part in code.values) for values in given})


def _written(message: ast.expr, scope: ast.FunctionDef) -> str:
    """A text as it is written in the source; a name is looked up among the assignments of its function."""
    if isinstance(message, ast.Constant):
        return str(message.value)
    if isinstance(message, ast.JoinedStr):
        return "".join(_part(part, {}) for part in message.values)
    if isinstance(message, ast.Name):
        for node in ast.walk(scope):
            if isinstance(node, ast.Assign) and any(ast.unparse(one) == message.id for one in node.targets):
                return _written(node.value, scope)
    return "…"


def _part(part: ast.expr, values: dict[str, object]) -> str:
    if isinstance(part, ast.Constant):
        return str(part.value)
    assert isinstance(part, ast.FormattedValue)
    return str(values.get(ast.unparse(part.value), "…"))


def _is_looked_up(name: ast.Constant, scope: ast.AST) -> bool:
    """Whether it is read from the environment, as os.environ.get(name) or os.environ[name]."""
    for node in ast.walk(scope):
        asked = isinstance(node, ast.Call) and ast.unparse(node.func) in ("os.environ.get", "os.getenv")
        if asked and node.args and node.args[0] is name:
            return True
        read = isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Load) and node.slice is name
        if read and ast.unparse(node.value) == "os.environ":
            return True
    return False
