import tomllib
from pathlib import Path

from gateway.lib.software import VERSION


def test_the_software_names_the_version_of_the_package() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["version"] == VERSION
