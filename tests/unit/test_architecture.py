"""The rules that a program can check: the allowed imports, the modules that the frozen binary should not carry, the length of files."""

import ast
import re
import sys
from pathlib import Path

import pytest

from tests.tools import checkout, settings_table

ROOT = Path(__file__).parents[2]
BRIDGE = ROOT / "bridge"
SIMULATION = sorted((BRIDGE / "simulate").glob("*.py"))
PACKAGES = sorted(path for path in BRIDGE.rglob("__init__.py") if path.parent.name != "simulate")
# by their dotted names within the package: "http.framing"
FILES = {
    ".".join(path.relative_to(BRIDGE).with_suffix("").parts): path
    for path in sorted(set(BRIDGE.rglob("*.py")) - set(SIMULATION) - set(PACKAGES))
}
TREES = {name: ast.parse(path.read_text(encoding="utf-8"), str(path)) for name, path in FILES.items()}

MAX_LINES = 350

# Modules without a socket, a clock that waits, or the loop: bytes and text in, values or a BridgeError out.
PURE = {
    *("errors", "http.framing", "http.reader", "sns.message", "sns.timestamp", "sns.signature", "sns.rsa", "sns.der", "sns.x509"),
    *("sns.calendar", "sns.grammar", "sns.topic", "bodies.routing", "amqp.frames", "bodies.cloudevents", "bodies.formats"),
    *("bodies.tracing", "settings", "version"),
    *("sqs.signing", "sqs.queue_url", "sqs.shared_file", "amqp.exchanges"),
}
MODULES_OF_THE_NETWORK = {
    "socket",
    "ssl",
    "select",
    "selectors",
    "http",
    "socketserver",
    "threading",
    "subprocess",
    "requests",
    "urllib",
    "signal",
}
# pika's encoder alone is pure
PURE_OF_PIKA = {"pika.frame", "pika.spec", "pika.data", "pika.amqp_object"}

# From the bottom up: a module imports from lines above its own only.
LAYERS = [
    {"sns._rsa", "_revision"},  # the extension module, and what a build writes
    {"console", "sns.calendar", "sns.grammar", "sqs.shared_file"},  # modules without imports
    {"version", "sockets"},
    {"errors", "counters", "sns.der", "sns.rsa", "sns.egress", "sns.steps", "http.responses", "http.crowds", "admin.page", "amqp.url"}
    | {"signals", "systemd"},
    {"log"},
    {"files"},
    {"supervisor", "http.framing", "http.basic_auth", "sns.timestamp", "sns.topic", "sns.x509", "amqp.transport", "amqp.broker"}
    | {"admin.reports"},
    {"sns.origin", "http.reader", "sns.message", "sns.signature", "sns.fetch", "amqp.loop", "sqs.queue_url"}
    | {"amqp.exchanges", "amqp.queue"},
    {"commands.policy", "sns.certificates", "sns.subscription", "bodies.tracing", "admin.metrics", "admin.status", "sqs.signing"},
    {"bodies.cloudevents", "amqp.frames", "verdicts"},
    {"bodies.formats"},
    {"settings"},
    {"bodies.routing"},
    {"config", "sqs.credentials"},
    {"pending", "authenticity", "http.tls", "commands.healthcheck", "sqs.queue"},
    {"sqs.calls"},
    {"amqp.channel", "commands.verify"},
    {"amqp.connection"},
    {"amqp.links"},
    {"amqp.publisher"},
    {"pipeline", "http.connection", "sqs.check"},
    {"http.arrivals", "sqs.receiver"},
    {"http.listener", "sqs.receivers"},
    {"admin.listener", "commands.check"},
    {"commands.serve"},
    {"cli"},
    {"__main__"},
]

# Each of these makes the binary bigger and every start longer.
TOO_DEAR = {
    "argparse",
    "logging",
    "dataclasses",
    "asyncio",
    "enum",
    "uuid",
    "datetime",
    "concurrent",
    "decimal",
    "contextlib",
    "inspect",
    "multiprocessing",
}


def is_type_checking(node):
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def imports(node, also_for_types=False):
    """The modules that a tree imports, dotted, wherever the import stands."""
    found = set()
    for child in ast.iter_child_nodes(node):
        if is_type_checking(child) and not also_for_types:
            for other in child.orelse:
                found |= imports(ast.Module([other], []))
        elif isinstance(child, ast.Import):
            found |= {alias.name for alias in child.names}
        elif isinstance(child, ast.ImportFrom):
            assert not child.level, "relative import"
            found |= {child.module, *(f"{child.module}.{alias.name}" for alias in child.names)}
        else:
            found |= imports(child, also_for_types)
    return found


def within(name):
    """The modules of the bridge that one of them imports, also for types, because a circle of types is a circle."""
    found = {full.removeprefix("bridge.") for full in imports(TREES[name], also_for_types=True) if full.startswith("bridge.")}
    return {full for full in found if full in FILES or full in ("sns._rsa", "_revision")}


def test_the_checks_see_an_import_wherever_it_stands():
    tree = ast.parse("""
import a.b
from c import d
if TYPE_CHECKING:
    import types_only
else:
    import other
def f():
    try:
        import inner
    except ImportError:
        pass
""")
    assert imports(tree) == {"a.b", "c", "c.d", "other", "inner"}
    assert "types_only" in imports(tree, also_for_types=True)
    assert {"sns.message", "sns.certificates", "amqp.publisher"} <= within("pipeline")


def test_every_module_has_its_layer():
    placed = [name for layer in LAYERS for name in layer]
    assert len(placed) == len(set(placed))
    assert set(FILES) <= set(placed)
    assert set(placed) - set(FILES) == {"sns._rsa", "_revision"} - set(FILES)


@pytest.mark.parametrize("name", FILES)
def test_imports_point_one_way(name):
    at = next(number for number, layer in enumerate(LAYERS) if name in layer)
    below = set().union(*LAYERS[:at])
    assert within(name) <= below, f"{name} may import only what stands below it"


@pytest.mark.parametrize("name", sorted(PURE & set(FILES)))
def test_what_is_pure_knows_no_socket_no_loop_and_no_thread(name):
    assert within(name) <= PURE | {"sns._rsa", "_revision"}
    for full in imports(TREES[name]):
        assert full.split(".")[0] not in MODULES_OF_THE_NETWORK, full
        if full.startswith("pika."):
            assert full in PURE_OF_PIKA, full


def test_pikas_encoder_is_all_that_frames_takes_of_pika():
    assert {full for full in imports(TREES["amqp.frames"]) if full.split(".")[0] == "pika"} - {"pika"} <= PURE_OF_PIKA


def test_only_the_pipeline_knows_the_order_of_the_steps():
    steps = {"sns.message", "authenticity", "amqp.frames", "sns.subscription", "http.basic_auth"}
    for name in FILES:
        if name not in ("pipeline", "commands.verify", "commands.serve"):
            assert len(within(name) & steps) <= 2, f"{name} knows {sorted(within(name) & steps)}"
    callers = {
        name: {node.func.attr for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)}
        for name, tree in TREES.items()
    }
    for step in ("check_headers", "attribute_fields", "header_fields"):
        assert [name for name, called in callers.items() if step in called] == ["pipeline"], step
    assert [name for name, called in callers.items() if "string_to_sign" in called] == ["authenticity"]
    for step in ("certificate_source", "check_certificate"):
        assert [name for name in FILES if f"bridge.sns.certificates.{step}" in imports(TREES[name])] == ["authenticity"], step


def test_only_fetch_opens_connections_to_sns_and_only_origin_to_sqs():
    assert [name for name in FILES if "requests" in imports(TREES[name])] == ["sns.egress", "sns.fetch"]  # egress asks it for the proxies
    for name in FILES:
        assert not {"urllib.request", "ftplib", "smtplib"} & imports(TREES[name]), name
        assert "http.client" not in imports(TREES[name]) or name == "sns.origin", name


def test_the_simulation_knows_little_of_the_bridge_and_the_service_nothing_of_it():
    """The simulation shares no code with the bridge, so that a mistake there can't repeat itself."""
    for path in SIMULATION:
        known = {
            full.removeprefix("bridge.") for full in imports(ast.parse(path.read_text(encoding="utf-8"))) if full.startswith("bridge.")
        }
        known = {full for full in known if full in FILES}
        assert known <= {"errors", "commands.policy", "settings", "sns.topic"}, path.name
    assert [name for name in FILES if any(full.startswith("bridge.simulate") for full in imports(TREES[name]))] == ["cli"]


@pytest.mark.parametrize("name", FILES)
def test_nothing_dear_is_imported(name):
    dear = {full for full in imports(TREES[name]) if full.split(".")[0] in TOO_DEAR}
    assert not dear


@pytest.mark.parametrize("name", FILES)
def test_only_direct_dependencies_and_the_standard_library_are_imported(name):
    for full in imports(TREES[name], also_for_types=True):
        assert full.split(".")[0] in {"bridge", "pika", "requests", "urllib3", "certifi", *sys.stdlib_module_names}, full


@pytest.mark.parametrize("path", PACKAGES, ids=lambda path: path.parent.name)
def test_every_package_says_in_one_sentence_what_it_is_for(path):
    [statement] = ast.parse(path.read_text(encoding="utf-8")).body
    assert re.fullmatch(r"[^.\n]{20,}\.", statement.value.value)


def test_no_file_is_too_long():
    sources = [path for path in checkout.files() if path.suffix == ".py"]
    assert not [path for path in sources if len((ROOT / path).read_text(encoding="utf-8").splitlines()) > MAX_LINES]


def test_no_line_is_kept_from_the_formatter():
    mark = "# " + "fmt:"
    for path in checkout.files():
        if path.suffix == ".py":
            assert mark not in (ROOT / path).read_text(encoding="utf-8"), path


@pytest.mark.parametrize("name", FILES)
def test_every_module_class_and_public_function_says_what_it_is(name):
    tree = TREES[name]
    assert ast.get_docstring(tree) or not tree.body, name
    for node in [*tree.body, *(inner for outer in tree.body if isinstance(outer, ast.ClassDef) for inner in outer.body)]:
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and not node.name.startswith("_"):
            assert ast.get_docstring(node) or node.end_lineno - node.lineno <= 5, f"{name}.{node.name}"


def test_every_setting_has_its_attribute_of_config():
    text = "".join(path.read_text(encoding="utf-8") for name, path in FILES.items() if name != "settings")
    for setting in settings_table.SETTINGS:
        assert f'"{setting.name}"' in text, f"give {setting.name} an attribute of Config in bridge/config.py"


def test_the_readmes_table_is_made_from_the_settings():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert settings_table.between_markers(text) == settings_table.table(), "run .venv/bin/python -m tests.tools.settings_table README.md"
