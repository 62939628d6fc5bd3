"""The Helm chart, rendered by Helm's own engine (helm-python-sdk carries it), and what comes out, by Kubernetes' strict schemas.

  chart.py WORK [--write]

deploy/kubernetes/larder.yaml must be what the chart renders with its defaults; --write makes it so. Leaves each rendered configuration in
WORK/config-*.yaml for `larder check`. The PodMonitor is of another project, whose schema is not to be had here: its kind is checked only.
"""

import pathlib
import re
import sys

import helm_python as helm
import kubernetes_validate
import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
CHART = ROOT / "deploy/helm/larder"
PLAIN = ROOT / "deploy/kubernetes/larder.yaml"
# The oldest that Chart.yaml allows, and the newest that there is a schema for.
VERSIONS = ["1.30", "1.37"]

HEAD = """\
# Larder on Kubernetes without Helm: three nodes or more, one Valkey. Made from ../helm/larder with its default values by
# `tests/deploy/run --write`, and checked to be that: change the chart, or take this file as a start of your own.
#
# NOT RUN where this was written (no cluster there): checked by Kubernetes' own schemas and `larder check`. Before you apply it: an image
# (deploy/Dockerfile), the address of your application in the ConfigMap, and secrets of your own:
#
#   kubectl create secret generic larder --from-literal=secret=$(openssl rand -hex 16) \\
#     --from-literal=token=$(openssl rand -hex 16) --from-literal=key=$(openssl rand -base64 32)
#
# Every pod meets the "restricted" Pod Security Standard.
"""

# Values, and what must be in or (with !) not in the output.
CASES = {
    "defaults": ({}, ["kind: HorizontalPodAutoscaler", "kind: PodDisruptionBudget", "!PodMonitor", "!LARDER_STORE_PASSWORD", "!  replicas: 3"]),
    "alone": (
        {"store": {"enabled": False, "url": "rediss://cache.example:6379"}, "autoscaling": {"enabled": False}, "replicas": 2},
        ["rediss://cache.example:6379", "  replicas: 2", "!valkey", "!HorizontalPodAutoscaler"],
    ),
    "a store with a password": (
        {
            "store": {
                "enabled": False,
                "url": "rediss://:$(LARDER_STORE_PASSWORD)@cache.example:6379",
                "passwordSecret": {"name": "cache", "key": "auth"},
            },
        },
        ["rediss://:$(LARDER_STORE_PASSWORD)@cache.example:6379", "secretKeyRef: { name: cache, key: auth }"],
    ),
    "all": (
        {
            "podMonitor": {"enabled": True},
            "imagePullSecrets": [{"name": "registry"}],
            "nodeSelector": {"disk": "none"},
            "tolerations": [{"key": "edge", "operator": "Exists"}],
            "networkPolicy": {"adminFrom": [{"namespaceSelector": {"matchLabels": {"name": "monitoring"}}}]},
            "image": {"repository": "example/larder", "tag": "1"},
            "podDisruptionBudget": {"maxUnavailable": "20%"},
        },
        ["kind: PodMonitor", 'image: "example/larder:1"', "name: registry", "disk: none", "key: edge", "name: monitoring"],
    ),
}

REFUSED = [
    {"replica": 2},
    {"replicas": 0},
    {"store": {"enabled": False}},
    {"store": {"url": "http://x"}},
    {"store": {"passwordSecret": {"password": "hunter2"}}},
    {"config": {"admin": {"address": "127.0.0.1:9080"}}},
    {"networkPolicy": {"adminPodLabels": None}},
    {"image": {"pullPolicy": "always"}},
]


def documents(chart, values):
    rendered = chart.render(values, name="larder", namespace="default")
    texts = [text.strip() for name, text in sorted(rendered.items()) if name.endswith(".yaml")]
    return "\n---\n".join(text for text in texts if text) + "\n"


def of_schema(text):
    for document in yaml.safe_load_all(text):
        if document["kind"] == "PodMonitor":
            continue
        for version in VERSIONS:
            kubernetes_validate.validate(document, version, strict=True)


def restricted(text):
    """The Pod Security Standard "restricted", as far as our pods can break it."""
    for document in yaml.safe_load_all(text):
        template = document.get("spec", {}).get("template")
        if not template:
            continue
        pod = template["spec"]
        name = f"{document['kind']} {document['metadata']['name']}"
        context = pod["securityContext"]
        assert context["runAsNonRoot"] and context["runAsUser"] > 0, name
        assert context["seccompProfile"]["type"] == "RuntimeDefault", name
        assert not any(pod.get(key) for key in ("hostNetwork", "hostPID", "hostIPC", "automountServiceAccountToken")), name
        for container in pod["containers"]:
            own = container["securityContext"]
            assert own["allowPrivilegeEscalation"] is False and own["capabilities"] == {"drop": ["ALL"]}, name
            assert own["readOnlyRootFilesystem"], name
            assert not any("hostPort" in port for port in container["ports"]), name
            assert "limits" in container["resources"] and "readinessProbe" in container and "livenessProbe" in container, name
        assert all(set(volume) & {"configMap", "emptyDir"} for volume in pod["volumes"]), name


def consistent(text):
    """Selectors find pods, ports have names, the configuration names only variables that the container has."""
    all_ = list(yaml.safe_load_all(text))
    pods = [d["spec"]["template"] for d in all_ if "template" in d.get("spec", {})]
    for document in all_:
        spec = document.get("spec", {})
        selector = spec.get("selector") or spec.get("podSelector") or {}
        labels = selector.get("matchLabels", selector)
        if not labels:
            continue
        found = [p for p in pods if labels.items() <= p["metadata"]["labels"].items()]
        assert len(found) == 1, f"{document['kind']} {document['metadata']['name']} selects {len(found)} kinds of pods"
        if document["kind"] == "Service":
            ports = {port["name"] for c in found[0]["spec"]["containers"] for port in c["ports"]}
            assert all(port["targetPort"] in ports for port in spec["ports"]), document["metadata"]["name"]
    larder = next(d for d in all_ if d["kind"] == "StatefulSet")["spec"]["template"]["spec"]["containers"][0]
    config = next(d for d in all_ if d["kind"] == "ConfigMap")["data"]["config.yaml"]
    known = {variable["name"] for variable in larder["env"]}
    named = set(re.findall(r"\$\{(\w+)", config))
    assert named <= known, f"the configuration names {named - known}"
    # Kubernetes puts in a variable's value only what stands before it.
    for at, variable in enumerate(larder["env"]):
        for name in re.findall(r"\$\((\w+)\)", variable.get("value", "")):
            assert name in {before["name"] for before in larder["env"][:at]}, f"{variable['name']} refers to {name}"
    return config


def main(work, write):
    found = helm.lint(str(CHART), strict=True)
    findings = [m for m in found["messages"] if m["error"] != "icon is recommended"]
    assert not findings and not found["errors"], found
    version = re.search(r'^version = "(.*)"', (ROOT / "Cargo.toml").read_text(), re.M)[1]
    about = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert about["appVersion"] == version, f"appVersion is not {version}"
    with helm.Chart.load(str(CHART)) as chart:
        for name, (values, wanted) in CASES.items():
            text = documents(chart, values)
            for words in wanted:
                assert (words.removeprefix("!") in text) != words.startswith("!"), f"{name}: {words}"
            of_schema(text)
            restricted(text)
            (work / f"config-{name}.yaml").write_text(consistent(text))
        for values in REFUSED:
            try:
                chart.render(values, name="larder", namespace="default")
                chart.validate_schema(chart.merge_values(values))
            except helm.HelmError:
                continue
            raise AssertionError(f"accepted: {values}")
        text = HEAD + "---\n" + documents(chart, {})
    if write:
        PLAIN.write_text(text)
    assert PLAIN.read_text() == text, f"{PLAIN.relative_to(ROOT)} is not what the chart renders: tests/deploy/run --write"


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]), "--write" in sys.argv)
