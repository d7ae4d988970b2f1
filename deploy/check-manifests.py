"""Judges the manifests on standard input, all of one shape.

Each must be as its schema says, and one must fit the other: what a manifest
names has to be there.
"""

import sys

import kubernetes_validate
import yaml
from cloudcoil.models.keda import v1alpha1 as keda

KUBERNETES = "1.37"
# The user's own, as deploy/kubernetes/README.md says.
SECRET = "mallbots"


def form(manifest):
    """What is wrong with its form, if anything."""
    if not manifest["apiVersion"].startswith("keda.sh/"):
        kubernetes_validate.validate(manifest, KUBERNETES, strict=True)
        return None
    model = getattr(keda, manifest["kind"]).model_validate(manifest)
    known = model.model_dump(by_alias=True, exclude_unset=True, mode="json")
    return unknown(manifest, known)


def unknown(given, known, path="."):
    """Where there is something that the model let fall."""
    if isinstance(given, dict) and isinstance(known, dict):
        for key, value in given.items():
            if key not in known:
                return f"{path}{key} is unknown"
            if found := unknown(value, known[key], f"{path}{key}."):
                return found
    elif isinstance(given, list) and isinstance(known, list):
        for number, (one, other) in enumerate(zip(given, known)):
            if found := unknown(one, other, f"{path}{number}."):
                return found
    return None


def references(manifests):
    """What is named and not there."""
    there = {(manifest["kind"], manifest["metadata"]["name"]) for manifest in manifests}
    there.add(("Secret", SECRET))
    pods = [
        manifest["spec"]["template"]["metadata"]["labels"]
        for manifest in manifests
        if manifest["kind"] == "Deployment"
    ]
    for manifest in manifests:
        kind, name = manifest["kind"], manifest["metadata"]["name"]
        spec = manifest.get("spec", {})
        named = []
        if kind == "Deployment":
            for source in spec["template"]["spec"]["containers"][0]["envFrom"]:
                for key, of in [("configMapRef", "ConfigMap"), ("secretRef", "Secret")]:
                    # What is optional may be missing.
                    if key in source and not source[key].get("optional", False):
                        named.append((of, source[key]["name"]))
        if kind in ("HorizontalPodAutoscaler", "ScaledObject"):
            named.append(("Deployment", spec["scaleTargetRef"]["name"]))
        for trigger in spec.get("triggers", []):
            named.append(("TriggerAuthentication", trigger["authenticationRef"]["name"]))
        for target in spec.get("secretTargetRef", []):
            named.append(("Secret", target["name"]))
        for reference in named:
            if reference not in there:
                yield f"{kind} {name}: there is no {' '.join(reference)}"

        selector = spec.get("podSelector") or spec.get("selector")
        if selector is not None and kind != "Deployment":
            wanted = selector if kind == "Service" else selector.get("matchLabels", {})
            if not any(wanted.items() <= labels.items() for labels in pods):
                yield f"{kind} {name}: selects no pod"
        elif kind == "PodDisruptionBudget":
            yield f"{kind} {name}: selects no pod"


def main():
    (shape,) = sys.argv[1:]
    manifests = list(yaml.safe_load_all(sys.stdin))
    faults = []
    for manifest in manifests:
        try:
            fault = form(manifest)
        except Exception as error:  # whichever way a schema says no
            fault = str(error)
        if fault:
            faults.append(f"{manifest['kind']} {manifest['metadata']['name']}: {fault}")
    faults += references(manifests)
    for fault in faults:
        print(f"{shape}: {fault}", file=sys.stderr)
    if faults or len(manifests) < 5:
        sys.exit(f"{shape}: {len(manifests)} manifests, {len(faults)} faults")
    print(f"{shape}: {len(manifests)} manifests are sound")


main()
