"""`python -m engine.run.compiled.code.build`: make the machine code that ships, out of the functions in this folder.

It needs numba (`pip install 'homespun[test]'`) and a linker; using the result needs neither.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from engine.run.compiled.host import CODE, TARGETS, file

NAME = "homespun_enter"
SOURCES_DIGEST = CODE / "sources.sha256"
MADE_WITH = CODE / "made_with.txt"  # the versions of numba and llvmlite
HERE = Path(__file__)
SOURCES = (HERE.parents[1] / "places.py", *sorted(path for path in HERE.parent.glob("*.py") if path != HERE))


def digest() -> str:
    """Of the sources, to tell whether machine code is theirs."""
    return hashlib.sha256(b"".join(path.read_bytes() for path in SOURCES)).hexdigest()[:16]


def compile_for(target: str, into: Path) -> None:
    """Write an object file for `target`; the process must have been begun with HOMESPUN_TARGET set so."""
    from llvmlite import binding
    from numba import types

    from engine.run.compiled.code.jobs import enter

    enter.compile((types.int64,) * 12)
    (result,) = enter.overloads.values()
    module = binding.parse_assembly(result.library.get_llvm_str())
    function = module.get_function(result.fndesc.llvm_func_name)
    function.name = NAME
    for other in module.functions:
        if not other.is_declaration and other.name != NAME:
            other.linkage = "internal"
    for variable in module.global_variables:
        if not variable.is_declaration and variable.linkage != binding.Linkage.internal:
            variable.linkage = "internal"
    cpu, _ = TARGETS[target]
    machine = binding.Target.from_triple("x86_64-unknown-linux-gnu").create_target_machine(
        cpu=cpu, opt=3, reloc="pic", codemodel="small"
    )
    module.triple = "x86_64-unknown-linux-gnu"
    options = binding.create_pipeline_tuning_options(speed_level=3)
    passes = binding.create_pass_builder(machine, options)
    passes.getModulePassManager().run(module, passes)
    into.write_bytes(machine.emit_object(module))


def link(target: str, into: Path) -> None:
    """Write the shared library for `target`."""
    with tempfile.TemporaryDirectory() as name:
        made = Path(name) / "made.o"
        # numba must believe that it is for that processor, or it would use what this one has.
        wanted = {"HOMESPUN_TARGET": target, "NUMBA_CPU_NAME": TARGETS[target][0], "NUMBA_CPU_FEATURES": ""}
        command = f"from engine.run.compiled.code.build import *; compile_for({target!r}, Path({str(made)!r}))"
        subprocess.run([sys.executable, "-c", command], env={**os.environ, **wanted}, check=True)
        linked = made.with_suffix(".so")
        subprocess.run(["ld", "-shared", "--strip-all", "--build-id=none", "-o", str(linked), str(made)], check=True)
        into.unlink(missing_ok=True)  # not written over: a process may be using it
        shutil.copyfile(linked, into)


def main() -> None:
    """Make all, and note of what and with what."""
    import llvmlite
    import numba

    for target in TARGETS:
        link(target, file(target))
    SOURCES_DIGEST.write_text(f"{digest()}\n", encoding="utf-8")
    MADE_WITH.write_text(f"{numba.__version__} {llvmlite.__version__}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
