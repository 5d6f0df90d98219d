"""C++ for Python, compiled where it is used, for the processor that is there, by the compiler that CXX names."""
import ctypes
import hashlib
import os
import platform
import subprocess
import tempfile

_FLAGS = ["-std=c++20", "-O3", "-march=native", "-fno-math-errno", "-fPIC", "-fno-semantic-interposition", "-pthread"]


def load(folder, sources, flags):
    """The library of these sources, which is compiled in `folder` unless that was done there for the same code."""
    command = [os.environ.get("CXX", "c++"), *_FLAGS, *flags]
    key = hashlib.sha256(" ".join([*flags, platform.machine(), platform.node()]).encode())
    for source in sources:  # with what they include
        key.update(subprocess.run([*command, "-E", "-P", source], check=True, stdout=subprocess.PIPE).stdout)
    name = os.path.splitext(os.path.basename(sources[0]))[0]
    path = os.path.join(folder, f"{name}-{key.hexdigest()[:16]}.so")
    if not os.path.exists(path):
        with tempfile.TemporaryDirectory(dir=folder) as there:
            built = os.path.join(there, "built.so")
            subprocess.run([*command, "-shared", *sources, "-o", built], check=True)
            os.replace(built, path)
    return ctypes.CDLL(path)
