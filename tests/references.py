"""What parity tests share: the programs that made their references."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

FOLDER = Path(__file__).with_name("parity")


def load_maker(name: str) -> ModuleType:
    """The program beside the parity tests that made a reference."""
    spec = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # where its dataclass looks for itself
    spec.loader.exec_module(module)
    return module
