"""What no schema says of the Dockerfile and the Compose file.

  files.py compose         every path that is mounted or built from is there, every variable of larder.yaml is set
  files.py context DIR     what Dockerfile.dockerignore lets in is all that the crate needs: cargo reads it, every included file is there
"""

import pathlib
import re
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]


def compose():
    import yaml

    file = ROOT / "deploy/compose/compose.yaml"
    services = yaml.safe_load(file.read_text())["services"]
    known = set()
    for name, service in services.items():
        build = service.get("build")
        if build:
            context = (file.parent / build["context"]).resolve()
            assert (context / build["dockerfile"]).is_file(), f"{name}: no {build['dockerfile']} in {context}"
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            if source.startswith("."):
                assert (file.parent / source).exists(), f"{name}: no {source}"
        if service.get("image", "").startswith("larder:"):
            known |= set(service.get("environment", {}))
    named = set(re.findall(r"\$\{(LARDER_\w+)\}", (file.parent / "larder.yaml").read_text()))
    assert named <= known, f"larder.yaml names {named - known}, which no node sets"
    version = re.search(r'^version = "(.*)"', (ROOT / "Cargo.toml").read_text(), re.M)[1]
    assert f"image: larder:{version}\n" in file.read_text(), f"the image's tag is not {version}"


def context(into):
    lines = (ROOT / "deploy/Dockerfile.dockerignore").read_text().splitlines()
    lines = [line for line in lines if line and not line.startswith("#")]
    assert lines[0] == "*", "everything is left out first"
    into.mkdir(parents=True)
    for line in lines[1:]:
        source = ROOT / line.removeprefix("!")
        assert source.exists(), f"no {source}"
        (shutil.copytree if source.is_dir() else shutil.copy)(source, into / source.name)
    read = ["cargo", "metadata", "--no-deps", "--format-version=1", "--offline", "--manifest-path", str(into / "Cargo.toml")]
    subprocess.run(read, check=True, stdout=subprocess.DEVNULL)
    for target in re.findall(r'^path = "(.*)"', (into / "Cargo.toml").read_text(), re.M):
        assert (into / target).is_file(), f"Cargo.toml names {target}"
    for source in (into / "src").rglob("*.rs"):
        production = source.read_text().split("#[cfg(test)]")[0]
        for included in re.findall(r'include_(?:str|bytes)!\("([^"]+)"\)', production):
            assert (source.parent / included).is_file(), f"{source.relative_to(into)} includes {included}"


if __name__ == "__main__":
    {"compose": compose, "context": lambda: context(pathlib.Path(sys.argv[2]))}[sys.argv[1]]()
