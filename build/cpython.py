"""Step 5: CPython, twice from one compilation: a whole interpreter that runs Nuitka, and a library cut for the binary."""

import os
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import compression
import fetch
import openssl
import pgo
import toolchain
from openssl import edit
from recipe import ARCH, HERE, JOBS, SECTIONS, SMALL, SOURCES, BuildError, cached, digest, main, needs, run, target

# The interpreter spends the time of a delivery in these files. Their functions that run by pgo.txt are built for speed, all else for size.
HOT = """
Python/ceval.o Objects/call.o Objects/dictobject.o Objects/unicodeobject.o Objects/bytesobject.o Objects/longobject.o
Objects/object.o Objects/obmalloc.o Objects/typeobject.o Objects/tupleobject.o Objects/listobject.o Objects/frameobject.o
Python/gc.o Modules/_json.o Objects/abstract.o Objects/setobject.o Objects/bytes_methods.o Python/frame.o Python/pyhash.o
Python/getargs.o Python/pystate.o Modules/_sre/sre.o Modules/binascii.o Modules/_struct.o
""".split()
FAST = ["-O2", "-Xclang", "-O2"]

# Extension modules that nothing imports; the configuration does not look for their libraries.
ABSENT = """
_ctypes _curses _curses_panel _dbm _gdbm _tkinter _sqlite3 readline _uuid _decimal _bz2 _lzma nis _ctypes_test _lsprof _zoneinfo
_codecs_cn _codecs_hk _codecs_iso2022 _codecs_jp _codecs_kr _codecs_tw _multibytecodec _interpreters _interpchannels _interpqueues
_testimportmultiple _testmultiphase _testsinglephase _testexternalinspection xxlimited xxlimited_35 xxsubtype _xxtestfuzz
_testbuffer _testinternalcapi _testcapi _testlimitedcapi _testclinic _testclinic_limited
""".split()

OPTIONS = """
--prefix=/usr --disable-shared --disable-test-modules --without-doc-strings --without-ensurepip --without-readline --without-mimalloc
--with-ssl-default-suites=openssl --with-builtin-hashlib-hashes=md5,sha1,sha2,sha3,blake2 --with-pkg-config=no
""".split()

# The results of the programs that `configure` runs, as found on amd64. For another machine it can't run them, and by its guesses CPython
# would hash strings by FNV, for which anybody can make collisions, and have no computed gotos. Where it can run them, the results
# depend on the build's surroundings: at `nice 19` nice() looks broken.
KNOWN = {
    "ac_cv_aligned_required": "no",
    "ac_cv_computed_gotos": "yes",
    "ac_cv_buggy_getaddrinfo": "no",
    "ac_cv_pthread_is_default": "yes",
    "ac_cv_broken_sem_getvalue": "no",
    "ac_cv_working_tzset": "yes",
    "ac_cv_file__dev_ptmx": "yes",
    "ac_cv_file__dev_ptc": "no",
    "ac_cv_broken_nice": "no",
}

# Parts of Lib/ that Nuitka and the frozen program never import.
LEFT = "test idlelib tkinter turtledemo ensurepip lib2to3 pydoc_data venv __pycache__".split()


def settings(tree: Path) -> dict[str, str]:
    """Return the environment for configure and make."""
    tools, crypto, zlib = toolchain.tools(), openssl.build(), compression.build()
    found = {f"py_cv_module_{name}": "n/a" for name in ABSENT}
    found |= {"CC": f"{tools}/cc", "AR": f"{tools}/ar", "RANLIB": f"{tools}/ranlib", "OPT": "-DNDEBUG", "LINKFORSHARED": " "}
    found |= {"CFLAGS": " ".join([*SMALL, *SECTIONS, f"-ffile-prefix-map={tree}=."]), "MODULE_BUILDTYPE": "static"}
    found |= {"CPPFLAGS": f"-I{crypto}/include -I{zlib}/include", "LDFLAGS": f"-static -Wl,--gc-sections -L{crypto}/lib -L{zlib}/lib"}
    found |= {"ZLIB_CFLAGS": f"-I{zlib}/include", "ZLIB_LIBS": f"-L{zlib}/lib -lz", "LIBSSL_CFLAGS": f"-I{crypto}/include"}
    return found | {"LIBSSL_LIBS": f"-L{crypto}/lib -lssl -lcrypto", "LIBCRYPTO_LIBS": f"-L{crypto}/lib -lcrypto"}


def without_dh(path: Path) -> None:
    """Make _ssl.c fit an OpenSSL without DH."""
    body = r"^(_ssl__SSLContext_load_dh_params_impl\([^{]*\{\n)(.*?)^\}$"
    text = (
        r'\g<1>#ifdef OPENSSL_NO_DH\n    PyErr_SetString(PyExc_NotImplementedError, "DH is not in this build");\n'
        r"    return NULL;\n#else\n\g<2>#endif\n}"
    )
    edit(path, f"(?s:{body})", text)


# Finds the name of one of OpenSSL's errors and puts it into _ssl's table.
LEARN = r"""static int
learn_error_code(_sslmodulestate *state, PyObject *key, int lib, int reason)
{
    for (struct py_ssl_error_code *code = error_codes; code->mnemonic != NULL; code++) {
        if (code->library == lib && code->reason == reason) {
            PyObject *name = PyUnicode_FromString(code->mnemonic);
            int result = name == NULL ? -1 : PyDict_SetItem(state->err_codes_to_names, key, name);
            Py_XDECREF(name);
            return result;
        }
    }
    return 0;
}

"""


def learn_error_codes(modules: Path) -> None:
    """Make _ssl name an error when it comes, because a table of all 2,000 takes 0.4 MiB; and know only the names that openssl.py keeps."""
    kept = "|".join(openssl.REASONS)
    edit(modules / "_ssl_data_34.h", rf"^  #ifdef (?!(?:{kept})_R_)\w+\n.*\n  #else\n.*\n  #endif\n", "", 0)
    path = modules / "_ssl.c"
    edit(path, r"^(?=static void\nfill_and_set_sslerror\()", LEARN)
    edit(path, r"^    struct py_ssl_error_code \*errcode;\n", "")
    edit(path, r"(?s:^    errcode = error_codes;\n.*?^        errcode\+\+;\n    \}\n)", "")
    edit(
        path, r"(?= PyDict_GetItemWithError\(state->err_codes_to_names, key\);)", " learn_error_code(state, key, lib, reason) < 0 ? NULL :"
    )


def configure(tree: Path, log: Path) -> None:
    """Configure the tree for the target and write down which objects are built for speed."""
    triple = target()["triple"]
    place = [f"--with-openssl={openssl.build()}", "--build=x86_64-linux-musl", f"--host={triple}"]
    if ARCH != "amd64":
        place += [f"--with-build-python={interpreter()}/bin/python3.13"]
    run(["./configure", *OPTIONS, *place], log, tree, **settings(tree), **KNOWN)
    with (tree / "Makefile").open("a") as out:
        out.write(f"\n{' '.join(HOT)}: private CONFIGURE_CFLAGS_NODIST += {' '.join([*FAST, *pgo.flags()])}\n")


@cache
def compile_tree() -> Path:
    """Return the configured and compiled source tree."""
    needs("make")
    parts = [SOURCES["source"]["cpython"], target(), toolchain.key(), HERE / "cpython.py", SMALL, SECTIONS]
    key = digest(*parts, pgo.key(), openssl.build().name, compression.build().name)

    def make(work: Path) -> None:
        tree = work / "tree"
        shutil.copytree(fetch.source("cpython"), tree, symlinks=True)
        shutil.rmtree(tree / "Lib/test")
        shutil.rmtree(tree / "Doc")
        without_dh(tree / "Modules/_ssl.c")
        learn_error_codes(tree / "Modules")
        configure(tree, work / "log")
        wanted = ["libpython3.13.a", *(["pybuilddir.txt"] if ARCH == "amd64" else [])]
        run(["make", f"-j{JOBS}", *wanted], work / "log", tree)
        pgo.check(work / "log")

    return cached(f"cpython-{ARCH}", key, make) / "tree"


@cache
def interpreter() -> Path:
    """Return a folder laid out like an installed Python (bin, include, lib) that runs on this machine."""
    if ARCH != "amd64":
        environ = os.environ | {"ARCH": "amd64"}
        found = subprocess.run([sys.executable, HERE / "cpython.py"], env=environ, stdout=subprocess.PIPE, text=True)
        if found.returncode:
            raise BuildError("the amd64 interpreter, which runs Nuitka, could not be built")
        return Path(found.stdout.strip())
    tree = compile_tree()

    def make(work: Path) -> None:
        library = work / "lib/python3.13"
        shutil.copytree(tree / "Lib", library, ignore=shutil.ignore_patterns(*LEFT))
        (work / "bin").mkdir()
        shutil.copy(tree / "python", work / "bin/python3.13")
        shutil.copytree(tree / "Include", work / "include/python3.13")
        shutil.copy(tree / "pyconfig.h", work / "include/python3.13/pyconfig.h")
        built = tree / (tree / "pybuilddir.txt").read_text()
        for path in built.glob("_sysconfigdata*.py"):
            shutil.copy(path, library / path.name)
        (library / "lib-dynload").mkdir()

    return cached(f"python-{ARCH}", digest(tree.parent.name, HERE / "cpython.py"), make)


if __name__ == "__main__":
    main(interpreter)
