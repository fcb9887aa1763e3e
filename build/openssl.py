"""Step 3: libcrypto and libssl, static, with only what TLS 1.2 and 1.3 and RSA verification need."""

import re
import shutil
from pathlib import Path

import fetch
import toolchain
from recipe import ARCH, HERE, JOBS, SECTIONS, SMALL, SOURCES, BuildError, cached, digest, main, needs, run, target

# One line a group: its subject, then the options. `no-bulk` is missing, because it would also remove elliptic curves; `no-cached-fetch`,
# because each TLS handshake would make its algorithms anew, which takes longer than an RSA signature.
OPTIONS = """
form        no-shared no-dso no-module no-pinshared no-engine no-legacy no-apps no-tests no-docs no-uplink no-static-engine
run-time    no-async no-autoload-config no-filenames no-secure-memory no-thread-pool no-default-thread-pool
formats     no-cms no-ts no-ocsp no-cmp no-ct no-rfc3779 no-gost no-comp no-zlib no-ui-console no-http
tls         no-ssl3 no-tls1 no-tls1_1 no-dtls no-srp no-psk no-srtp no-sctp no-quic no-nextprotoneg no-sslkeylog no-ssl-trace
ciphers     no-idea no-camellia no-seed no-aria no-bf no-cast no-des no-rc2 no-rc4 no-rc5 no-siv no-ocb no-multiblock no-sm4
digests     no-md4 no-mdc2 no-rmd160 no-whirlpool no-siphash no-sm3 no-blake2 no-scrypt no-argon2
keys        no-dh no-dsa no-ec2m no-sm2 no-ml-kem no-ml-dsa no-slh-dsa
platforms   no-winstore no-padlockeng no-afalgeng no-capieng no-unstable-qlog
"""

# Assembly is used only where RSA and its digests spend their time: each of these lists is cut to the files named, or to none. (Big numbers:
# 20 us a verification instead of 83; RSAZ: 0.8 ms a TLS handshake with an RSA key instead of 1.1; all of it would be 260 KB packed.)
RSAZ = "rsaz_exp.c rsaz-x86_64.s rsaz-avx2.s rsaz_exp_x2.c " + " ".join(
    f"rsaz-{bits}k-{by}.s" for bits in "234" for by in ("avx512", "avxifma")
)
ASSEMBLY = {
    "crypto/bn": {"x86_64": f"asm/x86_64-gcc.c x86_64-mont.s x86_64-mont5.s {RSAZ}", "aarch64": "bn_asm.c armv8-mont.S"},
    "crypto/sha": {"x86_64": "sha1-x86_64.s sha256-x86_64.s", "aarch64": "sha1-armv8.S sha256-armv8.S"},
    "crypto/modes": {},
    "crypto/aes": {},
    "crypto/ec": {},
    "crypto/chacha": {},
    "crypto/poly1305": {},
}

# An operator can meet the error texts of these tables in a log; the other tables are left out.
REASONS = ("SSL", "X509", "X509V3", "PEM", "RSA", "EVP")


def edit(path: Path, pattern: str, replacement: str, count: int = 1) -> None:
    """Replace `count` matches (0: one or more); raise BuildError for another number, because a new version needs a new look."""
    text, found = re.subn(pattern, replacement, path.read_text(), flags=re.M)
    if found != count and not (count == 0 and found):
        raise BuildError(f"{path}: {pattern!r} matches {found} times, expected {count}")
    path.write_text(text)


def select_assembly(tree: Path) -> None:
    """Cut the lists of assembly files down to ASSEMBLY."""
    for folder, wanted in ASSEMBLY.items():
        path = tree / folder / "build.info"
        if not wanted:
            edit(path, r"^(\s*IF\[)\$\w+ASM_\{- \$target\{asm_arch\} -\}\]", r"\g<1>0]", 0)
            continue
        text = path.read_text().replace("\\\n", " ")
        for machine, names in wanted.items():
            text = re.sub(rf"^(\s*\$(?:BN|SHA1)ASM_{machine}=).*$", rf"\g<1>{names}", text, flags=re.M)
        path.write_text(text)
    edit(tree / "crypto/bn/build.info", r"OPENSSL_BN_ASM_GF2m$", "", 0)
    edit(tree / "crypto/sha/build.info", r"^(\s*\$SHA1DEF_(?:x86_64|aarch64)=).*$", r"\g<1>SHA1_ASM SHA256_ASM", 2)
    edit(tree / "crypto/sha/build.info", r"IF\[\$KECCAK1600ASM_\{- \$target\{asm_arch\} -\}\]", "IF[0]")
    edit(tree / "crypto/modes/gcm128.c", r"\(defined\(GHASH_ASM\) \|\| defined\(OPENSSL_CPUID_OBJ\)\)", "defined(GHASH_ASM)")
    arm = r"^#if \(defined\(__arm__\) .*defined\(__aarch64__\).*$"  # without the files, AES on arm64 is C as well
    edit(tree / "include/crypto/aes_platform.h", arm, "#if 0")


def say_nothing_of_the_builder(tree: Path) -> None:
    """Leave the compiler's path and flags out of OpenSSL_version(), because they name the folder of this build."""
    edit(tree / "util/mkbuildinf.pl", r"^my \$cflags = join\(' ', @ARGV\);", 'my $cflags = "cc";')


def keep_reasons(tree: Path) -> None:
    """Leave only the tables of REASONS in the list of error strings that is loaded."""
    path = tree / "crypto/err/err_all.c"
    kept = "|".join(REASONS)
    edit(path, rf"^(\s*\|\| )?(\s*)ossl_err_load_(?!(?:{kept})_strings)\w+_strings\(\) == 0", r"\g<1>\g<2>0", 0)


def without_curve448(tree: Path) -> None:
    """Leave out X448 and Ed448, which have no option of their own: 40 KB, half of it numbers that do not compress."""
    files = r"^  \$COMMON=\$COMMON curve25519\.c (?:.*\\\n)*?(?=  ecx_key\.c$)"
    edit(tree / "crypto/ec/build.info", files, r"  $COMMON=$COMMON curve25519.c curve448.c ecx_backend.c \\\n")
    shutil.copy(HERE / "c/curve448.c", tree / "crypto/ec")
    edit(tree / "providers/defltprov.c", r'^    \{ PROV_NAMES_(?:X448|ED448)(?:ph)?, "provider=default", [^}]*\},\n', "", 6)
    for name, count in (("encoders", 14), ("decoders", 4)):
        edit(tree / f"providers/{name}.inc", rf'^{name[:-1].upper()}_\w+\("(?:X|ED)448".*\n', "", count)
    edit(tree / "providers/common/capabilities.c", r'^    TLS_GROUP_ENTRY\("x448".*\n', "")
    edit(tree / "ssl/t1_lib.c", r"^    TLSEXT_SIGALG_ed448,\n", "")
    edit(tree / "ssl/t1_lib.c", r"^    \{ TLSEXT_SIGALG_ed448_name,[^}]*\},\n", "")


def without_dtls(tree: Path) -> None:
    """Tell the compiler that no connection is DTLS, because no-dtls leaves out only the start of one, and keeps the rest of its code."""
    edit(tree / "ssl/ssl_local.h", r"^(#define SSL_C(?:ONNECTION|TX)_IS_DTLS\(\w+\)) \\\n.*$", r"\g<1> 0", 2)


def build() -> Path:
    """Return the folder with include/, lib/libssl.a and lib/libcrypto.a."""
    wanted, tools = target(), toolchain.tools()
    flags = [*SMALL, *SECTIONS, "-DOPENSSL_SMALL_FOOTPRINT"]
    options = [word for line in OPTIONS.strip().splitlines() for word in line.split()[1:]]
    key = digest(SOURCES["source"]["openssl"], wanted, toolchain.key(), HERE / "openssl.py", HERE / "c/curve448.c", flags)
    needs("make", "perl")

    def make(work: Path) -> None:
        tree = work / "tree"
        shutil.copytree(fetch.source("openssl"), tree, symlinks=True)
        select_assembly(tree)
        keep_reasons(tree)
        say_nothing_of_the_builder(tree)
        without_curve448(tree)
        without_dtls(tree)
        log = work / "log"
        cc = {"CC": f"{tools}/cc", "AR": f"{tools}/ar", "RANLIB": f"{tools}/ranlib"}
        place = ["--prefix=/usr", "--openssldir=/etc/ssl", "--libdir=lib"]
        prefix = f"-ffile-prefix-map={tree}=openssl"
        run(["./Configure", wanted["openssl"], *options, *place, *flags, prefix], log, tree, **cc)
        run(["make", f"-j{JOBS}", "build_generated", "libcrypto.a", "libssl.a"], log, tree)
        (work / "lib").mkdir()
        for name in ("libcrypto.a", "libssl.a"):
            shutil.copy(tree / name, work / "lib" / name)
        shutil.copytree(tree / "include", work / "include")
        shutil.rmtree(tree)

    return cached(f"openssl-{ARCH}", key, make)


if __name__ == "__main__":
    main(build)
