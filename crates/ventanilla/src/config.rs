//! `ventanilla config check`: what to give to the providers, what is missing, and whether it works.

use crate::cli::{CheckOptions, TargetOptions};
use crate::client::{Client, Http, Target};
use crate::dialects;
use crate::failure::failure;
use crate::output::{clean, items, text};
use anyhow::Result;
use serde_json::{Value, json};
use std::path::Path;
use ventanilla_host::manifest::Manifest;

/// Checks every connector of the manifest for the tenant, or for every tenant the token opens.
pub(crate) fn check(options: &TargetOptions, check: &CheckOptions) -> Result<()> {
    let results = results(options, &check.manifest)?;
    let faults: usize = results.iter().map(|result| items(result, "/faults").len()).sum();
    if check.json {
        println!("{:#}", json!({"connectors": results, "faults": faults}));
    } else {
        results.iter().for_each(|result| print!("{}", clean_lines(&page(result))));
    }
    if faults > 0 {
        return Err(failure(format!("{faults} fault(s) in the configuration"), "each is named above with its remedy"));
    }
    Ok(())
}

/// What there is to say of each connector, for the tenant or for every tenant the token opens.
pub(crate) fn results(options: &TargetOptions, manifest: &Path) -> Result<Vec<Value>> {
    let target = options.target()?;
    let manifest = Manifest::load(manifest, None)?;
    let connectors = crate::up::connectors(&manifest);
    let client = Client::new(target.clone());
    let tenants: Vec<String> = match &options.tenant {
        Some(tenant) => vec![tenant.clone()],
        None => {
            let answer = client.ask("GET", "/api/tenants", None)?;
            items(&answer, "/tenants").iter().filter_map(Value::as_str).map(str::to_owned).collect()
        }
    };
    let mut results = Vec::new();
    for tenant in &tenants {
        for connector in &connectors {
            let name = format!("{}/{}", connector.channel, connector.vendor);
            results.push(one(&client, &target, tenant, &name, &connector.variable)?);
        }
        if crate::up::has_webhooks(&manifest) {
            results.push(webhooks(&client, tenant)?);
        }
    }
    Ok(results)
}

/// Who of a tenant's own systems is told what is stored.
fn webhooks(client: &Client, tenant: &str) -> Result<Value> {
    const ENV: &str = "SPIN_VARIABLE_WEBHOOKS";
    let mut result = json!({"tenant": tenant, "connector": "webhooks", "faults": []});
    let reply = client.raw("GET", &format!("/webhooks/{tenant}"), None)?;
    if reply.status == 404 {
        result["state"] = "not configured".into();
        result["remedy"] = format!("to tell systems of yours, add {tenant:?} to {ENV}").into();
        return Ok(result);
    }
    if reply.status != 200 {
        result["faults"] = json!([format!("the webhooks do not answer ({}): {}", reply.status, reply.detail())]);
    }
    let told = reply.json().unwrap_or_default();
    let mut faults: Vec<String> =
        items(&result, "/faults").iter().filter_map(Value::as_str).map(str::to_owned).collect();
    for fault in items(&told, "/faults") {
        let place = text(fault, "/destination");
        let place = if place.is_empty() { String::new() } else { format!("destination {place}: ") };
        faults.push(format!("{place}{}: correct it in {ENV}", text(fault, "/fault")));
    }
    for stopped in items(&told, "/destinations").iter().filter(|d| text(d, "/condition") == "stopped") {
        let (name, reason) = (text(stopped, "/name"), text(stopped, "/reason"));
        faults.push(format!("destination {name} is stopped ({reason}): POST /webhooks/{tenant}/{name}/resume"));
    }
    result["title"] = "Webhooks".into();
    result["destinations"] = told["destinations"].clone();
    result["state"] = if faults.is_empty() { "ready" } else { "faulty" }.into();
    result["faults"] = faults.into();
    Ok(result)
}

/// One connector of one tenant.
fn one(client: &Client, target: &Target, tenant: &str, connector: &str, variable: &str) -> Result<Value> {
    let env = format!("SPIN_VARIABLE_{}", variable.to_uppercase());
    let reply = client.raw("GET", &format!("/{connector}/{tenant}/-/describe"), None)?;
    let mut faults: Vec<String> = Vec::new();
    let mut result = json!({"tenant": tenant, "connector": connector});
    let description = match reply.status {
        200 => reply.json().unwrap_or_default(),
        404 => {
            result["state"] = "not configured".into();
            result["remedy"] = format!("to use it, add {tenant:?} to {env}").into();
            result["faults"] = json!([]);
            return Ok(result);
        }
        401 => {
            return Err(failure(
                format!("the token does not open tenant {tenant}"),
                "give one of its API tokens with --token or VENTANILLA_TOKEN",
            ));
        }
        status => {
            faults.push(format!("the connector does not describe itself ({status}): {}", reply.detail()));
            Value::Null
        }
    };
    let is = |setting: &Value, name: &str| setting.get(name) == Some(&Value::Bool(true));
    for setting in items(&description, "/settings").iter().filter(|s| is(s, "required") && !is(s, "present")) {
        faults.push(format!(
            "setting {} is missing: add it to {env} ({})",
            text(setting, "/name"),
            text(setting, "/description")
        ));
    }
    for unknown in items(&description, "/unknown") {
        let meant = text(unknown, "/did_you_mean");
        let meant = if meant.is_empty() { "remove it".to_owned() } else { format!("did you mean {meant}?") };
        faults.push(format!("setting {} is not known: {meant}", text(unknown, "/name")));
    }
    let fault = text(&description, "/fault");
    if !fault.is_empty() && faults.is_empty() {
        faults.push(fault.to_owned());
    }
    if description.get("public_url_ok") == Some(&Value::Bool(false))
        && description.get("url").is_some_and(Value::is_string)
    {
        faults.push(format!("public_url {:?} is not a URL a provider can use", text(&description, "/url")));
    }
    result["title"] = description["title"].clone();
    result["url"] = description["url"].clone();
    result["routes"] = description["routes"].clone();
    result["self_test"] = self_test(target, tenant, connector, variable, &mut faults);
    result["state"] = if faults.is_empty() { "ready" } else { "faulty" }.into();
    result["faults"] = faults.into();
    Ok(result)
}

/// A wrongly signed request must be refused; a rightly signed one, if the secret is at hand, accepted.
fn self_test(target: &Target, tenant: &str, connector: &str, variable: &str, faults: &mut Vec<String>) -> Value {
    let dialects = dialects::all();
    let Some(dialect) = dialects.iter().find(|dialect| dialect.connector() == connector) else {
        return "none: this program can't play this provider".into();
    };
    let env = std::env::var(format!("SPIN_VARIABLE_{}", variable.to_uppercase())).ok();
    let given: Value = env.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
    let own = given.get(tenant).cloned();
    let demo = target.state.settings.get(variable).filter(|_| tenant == crate::state::DEMO).cloned();
    let Some(settings) = own.or(demo) else {
        return format!("none: the secret is not in this environment (SPIN_VARIABLE_{})", variable.to_uppercase())
            .into();
    };
    let secret = match settings.get(dialect.secret_setting()) {
        Some(Value::Array(several)) => several.first().and_then(Value::as_str).unwrap_or_default().to_owned(),
        Some(Value::String(one)) => one.clone(),
        _ => return "none: the secret is missing".into(),
    };
    let url = text(&settings, "/public_url").trim_end_matches('/').to_owned();
    let http = Http::new();
    let mut said = Vec::new();
    for (what, key, accepted) in
        [("wrong signature", format!("{secret}-wrong"), false), ("right signature", secret, true)]
    {
        match dialect.probe(&http, &url, &key) {
            None => return "none: the provider has no request that keeps nothing".into(),
            Some(Ok(status)) if (200..300).contains(&status) == accepted => said.push(format!("{what}: {status}")),
            Some(Ok(status)) => faults.push(format!(
                "self-test: a request with a {what} was answered {status} at {url}: is public_url exactly what the provider calls?"
            )),
            Some(Err(error)) => faults.push(format!("self-test: {error:#}")),
        }
    }
    said.join(", ").into()
}

fn page(result: &Value) -> String {
    let mut out = format!("{}  {}  {}\n", text(result, "/tenant"), text(result, "/connector"), text(result, "/state"));
    let url = text(result, "/url");
    for route in items(result, "/routes") {
        out.push_str(&format!("  {url}{}  {}\n", text(route, "/suffix"), text(route, "/purpose")));
    }
    for (label, pointer) in [("self-test", "/self_test"), ("remedy", "/remedy")] {
        let value = text(result, pointer);
        if !value.is_empty() {
            out.push_str(&format!("  {label}: {value}\n"));
        }
    }
    for fault in items(result, "/faults").iter().filter_map(Value::as_str) {
        out.push_str(&format!("  FAULT: {fault}\n"));
    }
    out
}

fn clean_lines(text: &str) -> String {
    text.lines().map(|line| clean(line) + "\n").collect()
}
