// Kubernetes objects, one on a line of standard input, against the schemas of Kubernetes, CloudNativePG and KEDA as @kubernetes-models
// publishes them: validators made from the OpenAPI documents and the CRDs. A line of JSON out for each: the errors found, or null where no
// schema is known.
//
// Those schemas let unknown members pass, as a cluster does, which drops them; so a misspelt member would be accepted and have no effect.
// Therefore the validator is given an object that remembers which members it looked at: what no schema ever looked at is unknown.
import { createInterface } from "node:readline";

const PACKAGES = { "postgresql.cnpg.io": "@kubernetes-models/cloudnative-pg", "keda.sh": "@kubernetes-models/keda" };

async function model(apiVersion, kind) {
  const group = apiVersion.includes("/") ? apiVersion.split("/")[0] : "";
  try {
    return (await import(`${PACKAGES[group] ?? "kubernetes-models"}/${apiVersion}`))[kind] ?? null;
  } catch (error) {
    if (error.code === "ERR_PACKAGE_PATH_NOT_EXPORTED") return null;
    throw error;
  }
}

function watched(value, path, seen) {
  if (value === null || typeof value !== "object") return value;
  const members = new Map();
  const looked = new Set();
  seen.push({ path, value, looked });
  return new Proxy(value, {
    get(target, name) {
      if (typeof name !== "string" || !Object.hasOwn(target, name)) return Reflect.get(target, name);
      looked.add(name);
      if (!members.has(name)) members.set(name, watched(target[name], `${path}/${name}`, seen));
      return members.get(name);
    },
  });
}

for await (const line of createInterface({ input: process.stdin })) {
  const object = JSON.parse(line);
  const found = await model(object.apiVersion, object.kind);
  if (!found) {
    console.log("null");
    continue;
  }
  const errors = [];
  const seen = [];
  try {
    watched(Object.assign(new found({}), object), "", seen).validate();
  } catch (error) {
    errors.push(error.message);
  }
  for (const { path, value, looked } of seen) {
    if (Array.isArray(value)) continue;
    for (const name of Object.keys(value)) {
      if (!looked.has(name)) errors.push(`${path}/${name}: no schema knows it`);
    }
  }
  console.log(JSON.stringify(errors));
}
