"""Code for proto/, made by grpcio-tools when this module is imported. Nothing here was written for Python before."""

import atexit
import pathlib
import shutil
import sys
import tempfile

import grpc_tools
from grpc_tools import protoc

PROTO = pathlib.Path(__file__).resolve().parents[2] / "proto"
# google/protobuf/*.proto, which come with the compiler.
WELL_KNOWN = pathlib.Path(grpc_tools.__file__).parent / "_proto"


def _generate():
    out = tempfile.mkdtemp(prefix="traceplane-stubs-")
    atexit.register(shutil.rmtree, out, ignore_errors=True)
    files = sorted(str(file) for folder in ("k8s", "schema", "traceplane") for file in (PROTO / folder).rglob("*.proto"))
    status = protoc.main(
        ["protoc", f"-I{PROTO}", f"-I{WELL_KNOWN}", f"--python_out={out}", f"--grpc_python_out={out}", *files]
    )
    if status != 0:
        raise RuntimeError("grpcio-tools cannot compile proto/")
    return out


# The generated modules import one another by their paths below proto/.
sys.path.insert(0, _generate())
