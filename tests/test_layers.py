"""Imports go one way: between the packages, and between the rooms (sub-packages and files) inside each of them."""

import ast

import pytest

from tests.support.paths import ROOT

# Each imports from itself and those before it.
LAYERS = ("schemas", "model", "transforms", "scoring", "reporting", "pipeline")
# The same inside a package: a room imports from itself and from rows before its own, never from its own row's others.
ROOMS = {
    "model": (
        ("engine", "families", "features", "runtime"),
        ("checkpoints", "segments"),
        ("decoding",),
        ("qwen2_audio", "audio_chat", "whisper", "encoders", "speecht5", "clap", "sherpa_onnx", "served", "plugins"),
        ("source",),
    ),
    "transforms": (
        ("storage", "counters", "failure_limit", "shard_stage", "stays_on_worker", "stop_request"),
        ("audio", "clusters", "stop_gate"),
        ("output",),
        ("containers",),
        ("manifests",),
        ("decode_shard",),
        (
            "read_manifest",
            "skip_annotated",
            "pack_shards",
            "skip_written",
            "decode_audio",
            "segment_speech",
            "annotate",
        ),
        ("shard_stages", "write_part", "summarize"),
    ),
    "reporting": (
        ("clip_audio", "part_figures", "part_tables", "provenance", "text"),
        ("card", "inspect", "report"),
        ("export",),
    ),
    "pipeline": (
        ("console", "launch", "shutdown"),
        ("graph", "runner", "progress", "compact"),
        ("annotate",),
        ("benchmark", "doctor", "plan", "python_api"),
        ("views",),
        ("commands",),
        ("cli",),
        ("annotate_from_flags",),
    ),
}
SOURCES = sorted(path for layer in LAYERS for path in (ROOT / layer).glob("**/*.py"))


def imported_modules(path):
    """Every module that a file imports, at its top or within its functions: `from a import b` is both a and a.b."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} has a relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
            yield node.module or ""


def imported_packages(path):
    """The top-level packages, and of earmark's own the layers."""
    parts = [module.split(".") for module in imported_modules(path)]
    return {names[1] if names[0] == "earmark" and len(names) > 1 else names[0] for names in parts}


def imported_rooms(path, layer):
    parts = [module.split(".") for module in imported_modules(path)]
    return {names[2] for names in parts if names[:2] == ["earmark", layer] and len(names) > 2}


def room_of(path, layer):
    return path.relative_to(ROOT / layer).with_suffix("").parts[0]


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_go_one_way(path):
    layer = path.relative_to(ROOT).parts[0]
    later = set(LAYERS[LAYERS.index(layer) + 1 :])
    assert not imported_packages(path) & later
    assert not {module.split(".")[0] for module in imported_modules(path)} & set(LAYERS), "import earmark.…"


@pytest.mark.parametrize("layer", ROOMS)
def test_imports_between_rooms_go_one_way(layer):
    row_of = {room: row for row, rooms in enumerate(ROOMS[layer]) for room in rooms}
    wrong = [
        f"{path.relative_to(ROOT)} imports {room}"
        for path in sorted((ROOT / layer).glob("**/*.py"))
        if path.name != "__init__.py"
        for room in imported_rooms(path, layer) - {room_of(path, layer)}
        if row_of[room] >= row_of[room_of(path, layer)]
    ]
    assert not wrong


@pytest.mark.parametrize("layer", ROOMS)
def test_every_room_is_in_the_order(layer):
    paths = [path for path in (ROOT / layer).iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()]
    rooms = {path.stem for path in paths} - {"__init__"}
    assert rooms == {room for rooms in ROOMS[layer] for room in rooms}


def test_no_module_imports_itself_through_others():
    modules = {f"earmark.{'.'.join(path.relative_to(ROOT).with_suffix('').parts)}": path for path in SOURCES}
    imports = {name: {one for one in imported_modules(path) if one in modules} for name, path in modules.items()}
    while free := [name for name, needs in imports.items() if not needs & imports.keys()]:
        for name in free:
            del imports[name]
    assert not imports, "these import each other in a circle, or import those that do"


@pytest.mark.parametrize(
    ("layer", "barred"),
    [("schemas", {"apache_beam", "torch"}), ("model", {"apache_beam"})],
)
def test_the_lower_layers_do_not_import_what_runs_them(layer, barred):
    for path in (ROOT / layer).glob("**/*.py"):
        assert not imported_packages(path) & barred, path


def test_decoding_children_start_without_beam():
    waiting = [ROOT / "transforms" / name for name in ("audio/decode_recordings.py", "containers/unpack_containers.py")]
    seen = set()
    while waiting:
        path = waiting.pop()
        seen.add(path)
        assert "apache_beam" not in imported_packages(path), path
        names = (module.removeprefix("earmark.").split(".") for module in imported_modules(path) if "earmark" in module)
        modules = (ROOT.joinpath(*name) for name in names)
        files = (file for module in modules for file in (module.with_suffix(".py"), module / "__init__.py"))
        waiting += [file for file in files if file.exists() and file not in seen]
    assert len(seen) > 3, "the imports were not followed"
