# Where Python is installed: nowhere. CPython runs this at its start, with `config` among the globals.
for name in ("executable", "prefix", "exec_prefix"):
    config[name] = config[f"base_{name}"] = config.get(name) or ""  # noqa: F821
config["stdlib_dir"] = config["platstdlib_dir"] = ""  # noqa: F821
config["module_search_paths"], config["module_search_paths_set"] = [], 1  # noqa: F821
