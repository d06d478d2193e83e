"""Custom resources against the CustomResourceDefinitions that their project publishes, as strictly as `kubectl apply --validate=strict`: a member
that no schema knows is an error, where a cluster by itself would drop it without a word.

SpinKube's are not in a package registry. They are, in this order: the file that VENTANILLA_SPINKUBE_CRDS names; what an earlier run kept; the file
of the release that its installation guide applies (`kubectl apply -f`), asked for once and not for long. Without a network there are none.
"""

import functools
import os
import threading
import urllib.request

import jsonschema
import yaml

from support import checks, peers

GIVEN = "VENTANILLA_SPINKUBE_CRDS"
RELEASE = "v0.6.1"
# https://www.spinkube.dev/docs/install/
PUBLISHED = f"https://github.com/spinframework/spin-operator/releases/download/{RELEASE}/spin-operator.crds.yaml"
KEPT = os.path.join(peers.PEERS, f"spin-operator-{RELEASE}.crds.yaml")
KINDS = {"SpinApp", "SpinAppExecutor"}
# Of connecting and of each read; and of everything, names included.
PATIENCE, ALL = 3, 10
LARGEST = 4 << 20

# What a structural schema may say (Kubernetes, "Specifying a structural schema") and is said to the validator below, or is no rule.
UNDERSTOOD = {
    "additionalProperties", "allOf", "anyOf", "default", "description", "enum", "example", "exclusiveMaximum", "exclusiveMinimum", "externalDocs", "format",
    "items", "maxItems", "maxLength", "maxProperties", "maximum", "minItems", "minLength", "minProperties", "minimum", "multipleOf", "not", "nullable",
    "oneOf", "pattern", "properties", "required", "title", "type", "uniqueItems", "x-kubernetes-embedded-resource", "x-kubernetes-int-or-string",
    "x-kubernetes-list-type", "x-kubernetes-map-type", "x-kubernetes-preserve-unknown-fields",
}
KEYWORDS = {
    "enum", "maxItems", "maxLength", "maxProperties", "maximum", "minItems", "minLength", "minProperties", "minimum", "multipleOf", "pattern", "type", "uniqueItems",
}
RANGES = {"int32": 31, "int64": 63}
TEXTS = {"type": "object", "additionalProperties": {"type": "string"}}
# meta/v1 ObjectMeta, as far as manifests say it: a cluster checks this part itself, whatever the CRD has.
METADATA = {
    "type": "object",
    "required": ["name"],
    "additionalProperties": False,
    "properties": {
        "name": {"type": "string", "pattern": "^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$"},
        "namespace": {"type": "string", "pattern": "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$"},
        "labels": TEXTS,
        "annotations": TEXTS,
        "finalizers": {"type": "array", "items": {"type": "string"}},
    },
}


class Unusable(Exception):
    """Not what it should be, or not to be had."""


class Schemas:
    """By group, version and kind."""

    def __init__(self, text, source):
        self.source, self.by_type, self.not_looked_at = source, {}, set()
        try:
            documents = [document for document in yaml.safe_load_all(text) if document is not None]
            for document in documents:
                if document.get("kind") != "CustomResourceDefinition":
                    continue
                spec = document["spec"]
                for version in spec["versions"]:
                    if version["served"]:
                        key = f"{spec['group']}/{version['name']}", spec["names"]["kind"]
                        self.by_type[key] = self._validator(*key, version["schema"]["openAPIV3Schema"])
        except (AttributeError, KeyError, TypeError, yaml.YAMLError, jsonschema.SchemaError) as error:
            raise Unusable(f"{source} is no list of CustomResourceDefinitions: {type(error).__name__} {str(error)[:200]}") from None
        if not self.by_type:
            raise Unusable(f"{source} has no CustomResourceDefinition")

    def errors(self, document):
        """What is wrong with an object; None if no definition is of its group and kind."""
        api_version, kind = document["apiVersion"], document["kind"]
        served = [version for version, known in self.by_type if known == kind and version.split("/")[0] == api_version.split("/")[0]]
        if not served:
            return None
        if api_version not in served:
            return [f"apiVersion: {api_version} is not served, only {', '.join(served)}"]
        return [f"{error.json_path}: {error.message}" for error in self.by_type[api_version, kind].iter_errors(document)]

    def _validator(self, api_version, kind, schema):
        root = self._strict(schema)
        members = {**root.get("properties", {}), "apiVersion": {"const": api_version}, "kind": {"const": kind}, "metadata": METADATA}
        root = {**root, "properties": members, "required": sorted({*root.get("required", []), "apiVersion", "kind", "metadata"})}
        jsonschema.Draft202012Validator.check_schema(root)
        return jsonschema.Draft202012Validator(root)

    def _strict(self, schema, closed=True):
        """As JSON Schema. `closed`: members nobody knows are errors; inside `anyOf` and its like they may be known outside."""
        self.not_looked_at |= set(schema) - UNDERSTOOD
        found = {name: value for name, value in schema.items() if name in KEYWORDS}
        for bound, exclusive in (("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum")):
            # OpenAPI 3.0: whether the bound itself is out; JSON Schema: another bound.
            if schema.get(exclusive) is True:
                found[exclusive] = found.pop(bound)
        bits = RANGES.get(schema.get("format"))
        if bits and schema.get("type") == "integer":
            found["minimum"] = max(found.get("minimum", -(2**bits)), -(2**bits))
            found["maximum"] = min(found.get("maximum", 2**bits - 1), 2**bits - 1)
        kind_of_list = schema.get("x-kubernetes-list-type", "atomic")
        if kind_of_list == "set":
            found["uniqueItems"] = True
        elif kind_of_list != "atomic":
            self.not_looked_at.add(f"x-kubernetes-list-type: {kind_of_list}")
        if schema.get("x-kubernetes-int-or-string"):
            found["type"] = ["integer", "string"]
        for several in ("allOf", "anyOf", "oneOf"):
            if several in schema:
                found[several] = [self._strict(one, False) for one in schema[several]]
        if "not" in schema:
            found["not"] = self._strict(schema["not"], False)
        if "items" in schema:
            found["items"] = self._strict(schema["items"], closed)
        members = schema.get("properties", {})
        if members:
            found["properties"] = {name: self._strict(member, closed) for name, member in members.items()}
        # A cluster fills in what has a default before it looks.
        required = [name for name in schema.get("required", []) if "default" not in members.get(name, {})]
        if required:
            found["required"] = required
        others = schema.get("additionalProperties")
        if isinstance(others, dict):
            found["additionalProperties"] = self._strict(others, closed)
        elif closed and schema.get("type") == "object" and others is not True and not schema.get("x-kubernetes-preserve-unknown-fields"):
            found["additionalProperties"] = False
            if schema.get("x-kubernetes-embedded-resource"):
                found["properties"] = {"apiVersion": {"type": "string"}, "kind": {"type": "string"}, "metadata": METADATA, **found.get("properties", {})}
        if schema.get("nullable"):
            found = {"anyOf": [found, {"type": "null"}]}
        return found


def download(url):
    """The text at an address. Raises `Unusable`, soon."""
    found = []

    def ask():
        try:
            with urllib.request.urlopen(url, timeout=PATIENCE) as answer:
                found.append(answer.read(LARGEST).decode())
        except (OSError, ValueError) as error:
            found.append(Unusable(f"{url} can't be had: {getattr(error, 'reason', error)}"))

    # Asking for a name has no limit of its own.
    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(ALL)
    if not found:
        raise Unusable(f"{url} can't be had within {ALL} s")
    if isinstance(found[0], Unusable):
        raise found[0]
    return found[0]


def complete(text, source):
    """The schemas of both kinds."""
    schemas = Schemas(text, source)
    missing = KINDS - {kind for _, kind in schemas.by_type}
    if missing:
        raise Unusable(f"{source} does not define {', '.join(sorted(missing))}")
    return schemas


@functools.lru_cache
def spinkube():
    """The published schemas, or None, and why there are none."""
    given = os.environ.get(GIVEN)
    if given:
        # Who names a file wants it used.
        try:
            with open(given) as file:
                return complete(file.read(), f"{GIVEN}={given}"), None
        except (OSError, ValueError, Unusable) as error:
            raise checks.Failure(f"{GIVEN}: {error}") from None
    if os.path.exists(KEPT):
        try:
            with open(KEPT) as file:
                return complete(file.read(), f"spin-operator {RELEASE}, published and kept in target/peers"), None
        except (OSError, ValueError, Unusable):
            os.remove(KEPT)
    try:
        text = download(PUBLISHED)
        schemas = complete(text, f"spin-operator {RELEASE}, published")
    except Unusable as error:
        return None, str(error)
    os.makedirs(peers.PEERS, exist_ok=True)
    with open(KEPT + ".part", "w") as file:
        file.write(text)
    os.replace(KEPT + ".part", KEPT)
    return schemas, None
