"""Make `.venv` and install what uv.lock names: `python3 tools/bootstrap.py [--groups dev servers]`.

Needs a Python from 3.11 to 3.13 and its standard library, nothing else: neither pip nor venv nor a compiler. It brings
uv in (with pip if this Python has it, else straight from the package index, checked against the SHA-256 that the index
gives) and leaves the rest to uv. The package index and the certificates are those that pip or uv are configured with.
When nothing has changed since the last run it returns at once.
"""

import argparse
import base64
import configparser
import fcntl
import hashlib
import importlib.util
import json
import os
import platform
import re
import shutil
import ssl
import subprocess
import sys
import tempfile
import urllib.error
import urllib.parse
import urllib.request
import zipfile
from html.parser import HTMLParser
from pathlib import Path

OLDEST_PYTHON, NEWEST_PYTHON = (3, 11), (3, 13)
UV_FROM, UV_BELOW = (0, 9), (1,)  # reads our lock file; the next major may not
PUBLIC_INDEX = "https://pypi.org/simple"
BUNDLES = ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/ca-bundle.pem"]
BUNDLES += ["/etc/ssl/cert.pem"]
JSON_INDEX, HTML_INDEX = "application/vnd.pypi.simple.v1+json", "text/html"
ROOT = Path(__file__).resolve().parent.parent


def go_on_with_another_python():
    # type: () -> None
    """Start again with a Python that fits, or say which one is needed. (This much also runs on an old Python.)"""
    for minor in range(NEWEST_PYTHON[1], OLDEST_PYTHON[1] - 1, -1):
        found = shutil.which("python3.%d" % minor)  # noqa: UP031
        if found and subprocess.call([found, "-c", "import ssl"], stderr=subprocess.DEVNULL) == 0:
            os.execv(found, [found, *sys.argv])
    sys.exit(
        "Python 3.11, 3.12 or 3.13 is needed and this is %d.%d: install one of them (Debian: apt-get install python3), "  # noqa: UP031
        "or name it: make PYTHON=/path/to/python3.12" % sys.version_info[:2]
    )


if not OLDEST_PYTHON <= sys.version_info[:2] <= NEWEST_PYTHON:
    go_on_with_another_python()


class Trouble(Exception):
    """Why nothing could be installed, as one sentence that says what to do."""


# What pip and uv are configured with


def pip_config_files(environment: dict[str, str], home: Path) -> list[Path]:
    """pip's configuration files, the most telling last (pip documentation, "Configuration")."""
    named = environment.get("PIP_CONFIG_FILE", "")
    if named == os.devnull:
        return []
    user = Path(environment.get("XDG_CONFIG_HOME") or home / ".config")
    files = [Path("/etc/xdg/pip/pip.conf"), Path("/etc/pip.conf"), home / ".pip/pip.conf", user / "pip/pip.conf"]
    return [*files, Path(named)] if named else files


def pip_setting(name: str, environment: dict[str, str], files: list[Path]) -> str:
    """A setting of pip such as `index-url`: from the environment, else from its files; empty when it is not set."""
    value = environment.get("PIP_" + name.upper().replace("-", "_"), "")
    if value:
        return value
    config = configparser.RawConfigParser()
    config.read(files, encoding="utf-8")
    for section in ("install", "global"):
        if config.has_option(section, name):
            return config.get(section, name).strip()
    return ""


def package_index(environment: dict[str, str], files: list[Path]) -> str:
    """The index that packages come from: uv's setting, else pip's, else the public one; without a slash at the end."""
    for name in ("UV_DEFAULT_INDEX", "UV_INDEX_URL"):
        if environment.get(name):
            return re.sub(r"^[\w.-]+=(?=\w+:)", "", environment[name]).rstrip("/")  # uv also takes name=address
    return (pip_setting("index-url", environment, files) or PUBLIC_INDEX).rstrip("/")


def certificates(environment: dict[str, str], files: list[Path]) -> str:
    """The file of certificates to trust, empty when there is none. Raises Trouble when the one named is not there."""
    named = environment.get("SSL_CERT_FILE") or pip_setting("cert", environment, files)
    if named and not Path(named).exists():
        raise Trouble(f"The certificate file {named} does not exist: correct SSL_CERT_FILE or pip's setting `cert`.")
    return named or next((bundle for bundle in BUNDLES if Path(bundle).exists()), "")


# Choosing and fetching uv's wheel


class Links(HTMLParser):
    """The files of a package's page in HTML (PEP 503): name, address, SHA-256, whether it was withdrawn."""

    def __init__(self) -> None:
        super().__init__()
        self.files: list[dict[str, object]] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        link = dict(attributes)
        address, _, fragment = (link.get("href") or "").partition("#")
        if tag == "a" and address:
            name = urllib.parse.unquote(urllib.parse.urlsplit(address).path.rpartition("/")[2])
            digest = fragment.removeprefix("sha256=") if fragment.startswith("sha256=") else ""
            withdrawn = "data-yanked" in link
            self.files.append({"filename": name, "url": address, "hashes": {"sha256": digest}, "yanked": withdrawn})


def parse_index(content: bytes, content_type: str) -> list[dict[str, object]]:
    """The files that an index page lists, be it JSON (PEP 691) or HTML (PEP 503)."""
    if "json" in content_type:
        files: list[dict[str, object]] = json.loads(content)["files"]
        return files
    page = Links()
    page.feed(content.decode("utf-8", "replace"))
    return page.files


def numbers(text: str) -> tuple[int, ...]:
    """`2.17` as (2, 17)."""
    return tuple(int(part) for part in re.findall(r"\d+", text))


def this_platform() -> dict[str, str]:
    """What decides which wheel runs here: system, machine, and the version of the C library or of macOS."""
    library, version = platform.libc_ver()
    system = platform.system().lower()
    if system == "linux" and library != "glibc":
        library, version = "musl", "1.2"
    if system == "darwin":
        library, version = "macos", platform.mac_ver()[0]
    machine = {"amd64": "x86_64", "arm64": "aarch64"}.get(platform.machine().lower(), platform.machine().lower())
    return {"system": system, "machine": machine, "library": library, "version": version}


def runs_here(tag: str, here: dict[str, str]) -> bool:
    """Whether a wheel's platform tag (PEP 600, PEP 656) fits the platform `here`."""
    if tag in ("any", f"linux_{here['machine']}"):
        return True
    found = re.fullmatch(r"(manylinux|musllinux|macosx)_(\d+_\d+)_(\w+)", tag)
    if not found:
        return False
    family, oldest, machine = found.groups()
    library = {"manylinux": "glibc", "musllinux": "musl", "macosx": "macos"}[family]
    machines = {"arm64": ["aarch64"], "universal2": ["aarch64", "x86_64"]}.get(machine, [machine])
    return here["library"] == library and here["machine"] in machines and numbers(here["version"]) >= numbers(oldest)


def choose_wheel(files: list[dict[str, object]], here: dict[str, str]) -> dict[str, object]:
    """The newest release of uv that we know and that runs here; raises Trouble when there is none."""
    candidates = []
    for file in files:
        found = re.fullmatch(r"uv-(\d+(?:\.\d+)*)-py3-none-([\w.]+)\.whl", str(file["filename"]))
        if found and not file.get("yanked") and any(runs_here(tag, here) for tag in found.group(2).split(".")):
            version = numbers(found.group(1))
            if UV_FROM <= version < UV_BELOW:
                candidates.append((version, file))
    if not candidates:
        raise Trouble(f"The package index has no uv for {here['system']} on {here['machine']}: install uv yourself.")
    return max(candidates, key=lambda candidate: candidate[0])[1]


def shown(url: str) -> str:
    """An address without the name and password in it."""
    parts = urllib.parse.urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def fetch(url: str, index: str, bundle: str, accept: str = "*/*") -> tuple[bytes, str, str]:
    """What an address answers: content, type, and the address after redirects.

    The name and password of the index go to its own host only. Raises Trouble.
    """
    parts = urllib.parse.urlsplit(index)
    request = urllib.request.Request(shown(url), headers={"Accept": accept, "User-Agent": "bootstrap"})
    if parts.username and urllib.parse.urlsplit(url).hostname == parts.hostname:
        pair = urllib.parse.unquote(f"{parts.username}:{parts.password or ''}")
        request.add_unredirected_header("Authorization", "Basic " + base64.b64encode(pair.encode()).decode())
    try:
        context = ssl.create_default_context(cafile=bundle or None)
        with urllib.request.urlopen(request, timeout=60, context=context) as answer:
            return answer.read(), answer.headers.get("Content-Type", ""), answer.url
    except urllib.error.HTTPError as error:
        error.close()
        raise Trouble(f"The package index refused {shown(url)} with HTTP {error.code}.") from error
    except OSError as error:
        reason = getattr(error, "reason", error)
        if isinstance(reason, ssl.SSLCertVerificationError) and not bundle:
            raise Trouble(
                "This machine has no certificates to check the package index with: "
                "install the package ca-certificates (Debian: apt-get install ca-certificates) and try again."
            ) from error
        if isinstance(reason, ssl.SSLCertVerificationError):
            raise Trouble(
                f"The certificate of {urllib.parse.urlsplit(url).hostname} is not trusted by {bundle}: "
                "name your organisation's certificate file in SSL_CERT_FILE and try again."
            ) from error
        raise Trouble(f"The package index cannot be reached at {shown(url)}: {reason}.") from error


def fetch_uv(folder: Path, index: str, bundle: str) -> Path:
    """uv from its wheel, checked and unpacked into `folder`."""
    content, content_type, address = fetch(f"{index}/uv/", index, bundle, f"{JSON_INDEX}, {HTML_INDEX};q=0.1")
    wheel = choose_wheel(parse_index(content, content_type), this_platform())
    hashes = wheel["hashes"]
    expected = hashes.get("sha256") if isinstance(hashes, dict) else None
    if not expected:
        raise Trouble(f"The package index gives no SHA-256 for {wheel['filename']}: it cannot be checked.")
    content = fetch(urllib.parse.urljoin(address, str(wheel["url"])), index, bundle)[0]
    if hashlib.sha256(content).hexdigest() != expected:
        raise Trouble(f"{wheel['filename']} is damaged: its SHA-256 is not the one that the package index gives.")
    file = folder / "uv.whl"
    file.write_bytes(content)
    with zipfile.ZipFile(file) as archive:
        name = next(name for name in archive.namelist() if name.endswith(".data/scripts/uv"))
        program = folder / "uv"
        program.write_bytes(archive.read(name))
    program.chmod(0o755)
    return program


def install_uv(folder: Path, index: str, bundle: str) -> Path:
    """uv by pip when this Python has it, else by our own means."""
    if importlib.util.find_spec("pip"):
        wanted = f"uv>={'.'.join(map(str, UV_FROM))},<{'.'.join(map(str, UV_BELOW))}"
        arguments = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
        result = subprocess.run(
            [*arguments, "--only-binary=:all:", "--target", str(folder), wanted],
            capture_output=True,
            text=True,
            check=False,
        )
        if result.returncode == 0:
            return folder / "bin" / "uv"
        print(
            f"pip could not install uv ({(result.stderr.strip() or 'no reason given').splitlines()[-1]}).", flush=True
        )
    return fetch_uv(folder, index, bundle)


# The virtual environment


def run(arguments: list[str], environment: dict[str, str]) -> None:
    """Run uv; its own words say what went wrong."""
    quiet = [] if sys.stderr.isatty() else ["--quiet"]
    if subprocess.call([*arguments, *quiet], env=environment, cwd=ROOT):
        raise Trouble(f"`{Path(arguments[0]).name} {' '.join(arguments[1:3])}` failed; its message stands above.")


def install(venv: Path, groups: list[str]) -> None:
    """Bring `.venv` in line with uv.lock; what else was installed into it by hand stays."""
    environment = dict(os.environ)
    files = pip_config_files(environment, Path.home())
    index, bundle = package_index(environment, files), certificates(environment, files)
    proxy = pip_setting("proxy", environment, files)
    if proxy:
        environment.setdefault("HTTPS_PROXY", proxy)
        os.environ.setdefault("HTTPS_PROXY", proxy)
    if bundle:
        environment["SSL_CERT_FILE"] = bundle
    environment.update(UV_PYTHON_DOWNLOADS="never", UV_PROJECT_ENVIRONMENT=str(venv), VIRTUAL_ENV=str(venv))
    uv = venv / "bin" / "uv"
    if not uv.exists():
        with tempfile.TemporaryDirectory(prefix="bootstrap-") as folder:
            program = install_uv(Path(folder), index, bundle)
            if not (venv / "pyvenv.cfg").exists():
                run([str(program), "venv", "--python", sys.executable, str(venv)], environment)
            shutil.copy2(program, uv)
    chosen = [argument for group in groups for argument in ("--group", group)]
    if index == PUBLIC_INDEX:
        run([str(uv), "sync", "--frozen", "--inexact", "--no-default-groups", *chosen], environment)
        return
    # The lock file names the public index's addresses, which a shop with a mirror of its own may not reach:
    # there the same versions come from the mirror, held against the same hashes.
    environment["UV_DEFAULT_INDEX"] = index
    with tempfile.TemporaryDirectory(prefix="bootstrap-") as folder:
        wanted = str(Path(folder) / "requirements.txt")
        export = ["--frozen", "--no-emit-project", "--no-default-groups", *chosen, "--quiet", "--output-file", wanted]
        if subprocess.call([str(uv), "export", *export], env=environment, cwd=ROOT, stdout=subprocess.DEVNULL):
            raise Trouble("uv.lock could not be read; uv's message stands above.")
        run([str(uv), "pip", "install", "--require-hashes", "--no-deps", "--requirements", wanted], environment)


def usable(venv: Path) -> bool:
    """Whether `.venv` is there, whole, of a Python that fits, and still where it was made."""
    try:
        settings = (venv / "pyvenv.cfg").read_text(encoding="utf-8")
        activate = (venv / "bin" / "activate").read_text(encoding="utf-8")
    except OSError:
        return False
    version = re.search(r"^version(?:_info)?\s*=\s*(\d+\.\d+)", settings, re.MULTILINE)
    fits = version is not None and OLDEST_PYTHON <= numbers(version.group(1)) <= NEWEST_PYTHON
    return fits and str(venv) in activate and (venv / "bin" / "python").exists()


def main() -> None:
    parser = argparse.ArgumentParser(description="Make .venv and install what uv.lock names.")
    parser.add_argument("--groups", nargs="*", default=[], help="dependency groups beside the product's own needs")
    groups: list[str] = sorted(parser.parse_args().groups)
    venv = ROOT / ".venv"
    locked = hashlib.sha256((ROOT / "uv.lock").read_bytes()).hexdigest()
    with Path(__file__).open(encoding="utf-8") as itself:
        fcntl.flock(itself, fcntl.LOCK_EX)  # two makes at once take turns
        whole, stamp = usable(venv), venv / ".installed"
        installed = json.loads(stamp.read_text(encoding="utf-8")) if whole and stamp.exists() else {}
        same = installed.get("locked") == locked
        if same and set(groups) <= set(installed["groups"]):
            return
        if venv.exists() and not whole:
            shutil.rmtree(venv)
        groups = sorted({*groups, *installed.get("groups", [])})
        print(f"Installing packages into .venv ({', '.join(['the product', *groups])}) …", flush=True)
        install(venv, groups)
        stamp.write_text(json.dumps({"locked": locked, "groups": groups}), encoding="utf-8")


if __name__ == "__main__":
    try:
        main()
    except Trouble as trouble:
        sys.exit(str(trouble))
