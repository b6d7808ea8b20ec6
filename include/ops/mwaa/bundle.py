"""``make bundle``: builds the artifacts for MWAA in ``dist/``, each named by its content.

    dags-<hash>/            the Dag folder, with include/ inside
    plugins-<hash>.zip      its root is MWAA's plugins folder
    requirements-<hash>.txt its hash includes the constraints, as they determine the packages. For an
                            environment without the internet the packages are wheels among the plugins
    startup-<hash>.sh
    code-<hash>/            code that runs inside SageMaker jobs; it goes to the ML bucket
    manifest.json           lists all of these, with the digest of every file

The same sources give the same bytes, whenever and by whomever they are built: nothing here depends on the time, the
umask or the machine. So equal names mean equal content, and a deploy uploads only names that do not exist yet.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from include.ops import Json
from include.ops.mwaa import AIRFLOW_VERSION
from include.platform.code_bundle import code_files, code_hash

ROOT = Path(__file__).resolve().parents[3]
DIST = ROOT / "dist"
# parts of include/ that no Dag imports: they run inside jobs, on a laptop, or in a deploy
NOT_FOR_DAGS = ("client", "jobs", "local_sagemaker", "online", "ops")
MODELS_FOR_DAGS = (
    "__init__.py",
    "config",
    "quoting.py",
    "pages.py",
    "page.css",
    "page.html.jinja",
)  # of include/models/, beside each model's model.yaml
CONSTRAINTS = "constraints.txt"  # in the Dag folder, where requirements.txt names it
OFFLINE = b"--find-links /usr/local/airflow/plugins\n--no-index\n"  # where MWAA unpacks plugins.zip
# zip files keep a time and a mode for each file: always the same ones
ZIP_TIME = (1980, 1, 1, 0, 0, 0)
FILE_MODE, PROGRAM_MODE, FOLDER_MODE = 0o644, 0o755, 0o755


@dataclass(frozen=True)
class Bundle:
    """A built ``dist/``: its folder and the manifest's content."""

    folder: Path
    manifest: Mapping[str, Any]

    @classmethod
    def read(cls, folder: Path = DIST) -> Bundle:
        """Raises FileNotFoundError if nothing has been built."""
        return cls(folder, json.loads((folder / "manifest.json").read_text(encoding="utf-8")))

    def path(self, artifact: str) -> Path:
        """Of "dags", "plugins", "requirements", "startup" or "code"."""
        return self.folder / str(self.manifest["artifacts"][artifact]["name"])

    def sha256(self, artifact: str) -> str:
        return str(self.manifest["artifacts"][artifact]["sha256"])

    @property
    def dag_files(self) -> dict[str, str]:
        """Digest of every file of the Dag folder, by its path there."""
        return dict(self.manifest["artifacts"]["dags"]["files"])

    @property
    def code_hash(self) -> str:
        return self.path("code").name.removeprefix("code-")


def build(root: Path = ROOT, folder: Path | None = None, wheels: Iterable[Path] = ()) -> Bundle:
    """Writes all artifacts of the sources under ``root``, replacing the folder's content.

    Args:
        wheels: of the packages in ``requirements.txt``, for an environment that cannot reach PyPI.

    Raises:
        subprocess.CalledProcessError: ``root`` is not a git checkout, so its files are unknown.
    """
    folder = folder or root / "dist"
    if folder.exists():
        shutil.rmtree(folder)
    _make_folder(folder)
    sources = _sources(root)
    shipped = {wheel.name: wheel for wheel in wheels}
    artifacts = {
        "dags": _folder_artifact(folder, "dags", _dag_folder(root, sources)),
        "plugins": _file_artifact(folder, "plugins-{}.zip", _zip(folder, _plugins(root, sources) | shipped)),
        "requirements": _file_artifact(
            folder,
            "requirements-{}.txt",
            (OFFLINE if shipped else b"") + (root / "requirements.txt").read_bytes(),
            named_by=(root / CONSTRAINTS).read_bytes(),
        ),
        "startup": _file_artifact(
            folder, "startup-{}.sh", (root / "include" / "ops" / "mwaa" / "startup.sh").read_bytes(), PROGRAM_MODE
        ),
        "code": _folder_artifact(folder, "code", dict(code_files(root)), name=f"code-{code_hash(root)}"),
    }
    manifest = {"airflow": AIRFLOW_VERSION, "artifacts": artifacts}
    _write(folder / "manifest.json", json.dumps(manifest, indent=2, sort_keys=True).encode() + b"\n")
    return Bundle(folder, manifest)


def download_wheels(folder: Path, root: Path = ROOT) -> list[Path]:
    """Wheels of the packages in ``requirements.txt``, at the versions of the constraints, without their dependencies:
    MWAA's image has those (``make bundle-test`` verifies that).

    Raises:
        subprocess.CalledProcessError: pip cannot find them; ``stderr`` says why.
    """
    folder.mkdir(parents=True)
    wanted = folder.with_suffix(".txt")
    text = (root / "requirements.txt").read_text(encoding="utf-8")
    wanted.write_text(re.sub(r"(?m)^--constraint .*", "", text), encoding="utf-8")  # by its path on MWAA
    command = [str(ROOT / ".venv/tools/bin/pip"), "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    command += ["--only-binary=:all:", "--platform=manylinux2014_x86_64", "--python-version=3.12"]
    command += ["--dest", str(folder), "--requirement", str(wanted), "--constraint", str(root / CONSTRAINTS)]
    subprocess.run(command, check=True, capture_output=True, text=True)
    return sorted(folder.glob("*.whl"))


def _sources(root: Path) -> list[str]:
    """Paths of what belongs to the checkout: known to git or new, not what .gitignore names."""
    command = ["git", "-C", str(root), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return sorted({name for name in listed.split("\0") if name and (root / name).is_file()})


def _dag_folder(root: Path, sources: list[str]) -> dict[str, Path]:
    """Path in MWAA's Dag folder -> file of the checkout."""
    files = {name.removeprefix("dags/"): root / name for name in sources if name.startswith("dags/")}
    files |= {name: root / name for name in sources if name.startswith("include/") and _is_for_dags(name)}
    files[CONSTRAINTS] = root / CONSTRAINTS
    return files


def _is_for_dags(name: str) -> bool:
    _, first, *rest = name.split("/")
    if first == "models":  # the models' code runs inside jobs only
        return rest[0] in MODELS_FOR_DAGS or rest[1:] == ["model.yaml"]
    return first not in NOT_FOR_DAGS


def _plugins(root: Path, sources: list[str]) -> dict[str, Path]:
    return {name.removeprefix("plugins/"): root / name for name in sources if name.startswith("plugins/")}


def _folder_artifact(folder: Path, kind: str, files: Mapping[str, Path], name: str | None = None) -> Json:
    digests = {path: _sha256(files[path].read_bytes()) for path in sorted(files)}
    whole = _sha256("".join(f"{path}\0{digest}\0" for path, digest in digests.items()).encode())
    name = name or f"{kind}-{whole[:12]}"
    for path in digests:
        target = folder / name / path
        for parent in reversed(target.relative_to(folder).parents):
            _make_folder(folder / parent)
        _write(target, files[path].read_bytes())
    return {"name": name, "sha256": whole, "files": digests}


def _file_artifact(folder: Path, name: str, content: bytes, mode: int = FILE_MODE, *, named_by: bytes = b"") -> Json:
    name = name.format(_sha256(content + named_by)[:12])
    _write(folder / name, content, mode)
    return {"name": name, "sha256": _sha256(content)}


def _zip(folder: Path, files: Mapping[str, Path]) -> bytes:
    partial = folder / "plugins.partial"
    # stored, not deflated: deflated bytes differ between versions of zlib, and the files are small
    with zipfile.ZipFile(partial, "w", zipfile.ZIP_STORED) as archive:
        for path in sorted(files):
            entry = zipfile.ZipInfo(path, ZIP_TIME)
            entry.create_system = 3  # Unix, whatever the build machine
            entry.external_attr = FILE_MODE << 16
            archive.writestr(entry, files[path].read_bytes())
    content = partial.read_bytes()
    partial.unlink()
    return content


def _make_folder(folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    folder.chmod(FOLDER_MODE)


def _write(path: Path, content: bytes, mode: int = FILE_MODE) -> None:
    path.write_bytes(content)
    path.chmod(mode)


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def contents(bundle: Bundle) -> Iterator[str]:
    """A summary of the bundle, as lines."""
    for kind, artifact in bundle.manifest["artifacts"].items():
        path = bundle.folder / artifact["name"]
        files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
        size = sum(file.stat().st_size for file in files)
        yield f"{kind:14}{artifact['name']:32}files: {len(files):<5}{size / 1024:8.1f} KiB"


def main(argv: list[str] | None = None) -> int:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter).parse_args(argv)
    bundle = build()
    print("\n".join(contents(bundle)))
    print(f"for Airflow {bundle.manifest['airflow']}; all of it, with digests: {bundle.folder / 'manifest.json'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
