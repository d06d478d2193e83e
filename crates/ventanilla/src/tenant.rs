//! `ventanilla tenant`: profiles of administrations.

use crate::cli::{TargetOptions, TenantCommand};
use crate::failure::failure;
use crate::output::{clean, items, text};
use anyhow::{Context, Result};
use channel_sdk::json::parse_profile;
use serde_json::{Value, json};
use std::io::Read;
use std::path::Path;

/// Runs one of the subcommands.
pub(crate) fn run(options: &TargetOptions, command: &TenantCommand) -> Result<()> {
    match command {
        TenantCommand::Apply { file } => apply(options, file),
        TenantCommand::List => {
            let answer = options.client()?.ask("GET", "/api/tenants", None)?;
            items(&answer, "/tenants")
                .iter()
                .filter_map(Value::as_str)
                .for_each(|tenant| println!("{}", clean(tenant)));
            Ok(())
        }
        TenantCommand::Remove { code, confirm, reason, author } => {
            remove(options, code, confirm.as_deref(), reason, author)
        }
        TenantCommand::Export { example: true } => {
            println!("{:#}", example(options.tenant.as_deref())?);
            Ok(())
        }
        TenantCommand::Export { example: false } => {
            println!("{:#}", options.client()?.get("profile", &[])?);
            Ok(())
        }
    }
}

/// The demo's, as if it were this tenant's.
fn example(tenant: Option<&str>) -> Result<Value> {
    let mut profile: Value = serde_json::from_str(crate::up::PROFILE).context("the example is not JSON")?;
    if let (Some(code), Some(member)) = (tenant, profile.get_mut("tenant")) {
        *member = code.into();
    }
    Ok(profile)
}

/// Part by part, until nothing is left.
fn remove(options: &TargetOptions, code: &str, confirm: Option<&str>, reason: &str, author: &str) -> Result<()> {
    if confirm != Some(code) {
        return Err(failure(
            format!("everything of the tenant {code} would be removed, for good"),
            &format!(
                "if that is what you want: ventanilla tenant remove {code} --confirm {code}; a backup first is wise"
            ),
        ));
    }
    if options.tenant.as_ref().is_some_and(|named| named != code) {
        return Err(failure(format!("--tenant is not {code}"), "leave --tenant out, or give the same code"));
    }
    let options = TargetOptions { tenant: Some(code.to_owned()), ..options.clone() };
    let client = options.client()?;
    let body = json!({"confirm": code, "reason": reason, "author": author});
    let (mut rows, mut told) = (0, false);
    loop {
        let step = client.send("POST", "removal", &body)?;
        let head = text(&step, "/head");
        if !told && !head.is_empty() {
            told = true;
            println!("last head of its ledger: {head}");
        }
        rows += step.get("removed").and_then(Value::as_u64).unwrap_or(0);
        if step.get("more") != Some(&Value::Bool(true)) {
            break;
        }
    }
    println!("removed {code}: {rows} rows; what stays is in `ventanilla audit --tenant {code}`");
    println!("take it out of the settings of the channels and of api_tokens, too");
    Ok(())
}

/// The profile says which tenant it is; `--tenant` may only agree.
fn apply(options: &TargetOptions, file: &Path) -> Result<()> {
    let profile = read(file)?;
    let tenant = text(&profile, "/tenant").to_owned();
    if options.tenant.as_ref().is_some_and(|named| *named != tenant) {
        return Err(failure(
            format!("{} is the profile of {tenant:?}, not of the tenant named", file.display()),
            "leave --tenant out, or correct \"tenant\" in the file",
        ));
    }
    let options = TargetOptions { tenant: Some(tenant.clone()), ..options.clone() };
    options.client()?.send("PUT", "profile", &profile)?;
    println!("applied the profile of {tenant}; it is in force within seconds");
    Ok(())
}

/// Reads and checks a profile, so that a mistake is told with the file's name and before anything is sent.
fn read(file: &Path) -> Result<Value> {
    let mut source = String::new();
    if file == Path::new("-") {
        std::io::stdin().read_to_string(&mut source).context("cannot read standard input")?;
    } else {
        source = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    }
    let profile: Value = serde_json::from_str(&source).with_context(|| format!("{} is not JSON", file.display()))?;
    parse_profile(&profile).map_err(|error| {
        failure(
            format!("{}: {error}", file.display()),
            "`ventanilla tenant export --example` prints a profile that works",
        )
    })?;
    Ok(profile)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_is_a_profile_of_the_tenant_named() {
        let profile = parse_profile(&example(Some("vilanova")).unwrap()).unwrap();
        assert_eq!(profile.tenant, "vilanova");
        assert!(!profile.departments.is_empty());
    }

    #[test]
    fn a_mistake_in_a_profile_is_told_with_file_and_place() {
        let file = std::env::temp_dir().join(format!("ventanilla-profile-{}.json", std::process::id()));
        std::fs::write(&file, r#"{"tenant": "x", "name": "X", "languages": ["es"], "departments": [{"code": 7}]}"#)
            .unwrap();
        let error = read(&file).unwrap_err().to_string();
        assert!(error.contains("ventanilla-profile") && error.contains("departments[0]"), "{error}");
        std::fs::remove_file(file).unwrap();
    }
}
