"""What the modules of a folder need to be told, by looking at them. No network."""

import re

from woob import __version__
from woob.core import WoobBase
from woob.tools.value import ValueBool

CAPABILITY = "CapBank"


def describe(folder, wire):
    """Lists the modules that read banks, those that cannot be used included."""
    loader = WoobBase(modules_path=folder).modules_loader
    for name in sorted(loader.iter_existing_module_names()):
        if not re.fullmatch(r"[a-z0-9][a-z0-9_.-]{0,63}", name):
            continue
        try:
            module = loader.get_or_load_module(name)
            if module.has_caps(CAPABILITY):
                wire.emit("institution", **institution(name, module))
        except (Exception, SystemExit) as e:
            wire.emit("institution", id=name, name=name, version="", fields=[], problem=problem(e))
    return {"outcome": {"kind": "ok"}}


def problem(e):
    return f"{type(e).__name__}: {e}"[:300]


def institution(name, module):
    trusts = getattr(module.klass.BROWSER, "TWOFA_DURATION", None)  # in minutes
    return {
        "id": name,
        "name": str(module.description)[:200],
        "version": "woob " + __version__,
        "trusts_seconds": int(trusts * 60) if isinstance(trusts, (int, float)) else 0,
        "fields": [field(v) for v in form(module.config)],
    }


def form(config):
    """The values a person gives once. Transient ones answer questions; _ ones are for programs."""
    return [v for v in config.values() if not v.transient and not v.id.startswith("_")]


def field(value):
    """One value, as a field of a form or of a question."""
    return {
        "id": value.id,
        "label": str(value.label or value.description or value.id)[:200],
        "masked": bool(value.masked),
        "choices": choices(value),
        "pattern": value.regexp or "",
        # A module without a default would not be built; an empty default is no answer.
        "required": bool(value.required),
    }


def choices(value):
    if isinstance(value, ValueBool):
        return [{"value": "1", "label": "oui"}, {"value": "0", "label": "non"}]
    return [{"value": str(v), "label": str(label)[:200]} for v, label in (value.choices or {}).items()]
