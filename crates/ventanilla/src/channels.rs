//! `ventanilla channels`: what every connector of the application says of itself, as a page for operators.

use crate::cli::ChannelsOptions;
use anyhow::{Context, Result};
use serde_json::{Value, json};
use std::fmt::Write as _;
use ventanilla_host::connector::{Connector, types};
use ventanilla_host::manifest::Manifest;

use types::{Descriptor, Stability, Strength};

/// Prints the page, or JSON.
pub(crate) fn run(options: &ChannelsOptions) -> Result<()> {
    let mut all = Vec::new();
    for component in Manifest::load(&options.manifest, None)?.components.values() {
        let connector = component.dependencies.iter().find(|(key, _)| key.starts_with("ventanilla:channel"));
        if let Some((_, dependency)) = connector {
            let said = Connector::load(&dependency.source).and_then(|connector| connector.describe());
            all.push(said.with_context(|| format!("component {} can't be asked what it is", component.id))?);
        }
    }
    all.sort_by(|one, other| (&one.channel, &one.vendor).cmp(&(&other.channel, &other.vendor)));
    if options.json {
        let all: Vec<Value> = all.iter().map(|said| json!(said)).collect();
        println!("{:#}", json!({"connectors": all}));
    } else {
        print!("{}", page(&all));
    }
    Ok(())
}

/// Markdown. Connectors in development are left out: nobody is to use them yet.
fn page(all: &[Descriptor]) -> String {
    let all: Vec<&Descriptor> = all.iter().filter(|said| said.stability != Stability::Development).collect();
    let mut page = String::from(
        "<!-- Written by `cargo xtask channels` from what the connectors say of themselves (describe). Do not edit. -->\n\
         # Channels\n\n\
         Every connector, as it describes itself; those in development are left out. How it is set up at the provider is in each one's README.\n\n\
         | connector | what it is | stability | proof | replies | largest body |\n|---|---|---|---|---|---|\n",
    );
    for said in &all {
        let name = format!("{}/{}", said.channel, said.vendor);
        let _ = writeln!(
            page,
            "| [{name}](../components/{name}/README.md) | {} | {} | {} | {} | {} |",
            cell(&said.title),
            stability(said.stability),
            strength(said.strength),
            replies(said),
            bytes(said.max_body)
        );
    }
    page.push_str(
        "\nProof: a *signature* covers the content; a *credential* is a secret that travels with the request; *none*: the operator \
         has to protect the route otherwise, and must set `allow_unsigned`.\n",
    );
    for said in all {
        section(&mut page, said);
    }
    page
}

fn section(page: &mut String, said: &Descriptor) {
    let _ = writeln!(page, "\n## {}/{}\n", said.channel, said.vendor);
    let _ = writeln!(page, "| route after the tenant | methods | for |\n|---|---|---|");
    for route in &said.routes {
        let suffix = if route.suffix.is_empty() { "(none)".into() } else { format!("`{}`", route.suffix) };
        let _ = writeln!(page, "| {suffix} | {} | {} |", route.methods.join(" "), cell(&route.purpose));
    }
    let _ = writeln!(page, "\n| setting | | |\n|---|---|---|");
    for setting in &said.settings {
        let kind = match (setting.secret, setting.required) {
            (true, true) => "secret, required",
            (true, false) => "secret",
            (false, true) => "required",
            (false, false) => "",
        };
        let _ = writeln!(page, "| `{}` | {kind} | {} |", setting.name, cell(&setting.description));
    }
    let hosts: Vec<String> = said.hosts.iter().map(|host| format!("`{host}`")).collect();
    let hosts = if hosts.is_empty() { "none".into() } else { hosts.join(", ") };
    let _ = writeln!(page, "\nHosts it may have asked: {hosts}.");
}

/// Text within a table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace(['\n', '\r'], " ")
}

fn stability(stability: Stability) -> &'static str {
    match stability {
        Stability::Development => "development",
        Stability::Alpha => "alpha",
        Stability::Beta => "beta",
        Stability::Stable => "stable",
    }
}

fn strength(strength: Strength) -> &'static str {
    match strength {
        Strength::Signature => "signature",
        Strength::Credential => "credential",
        Strength::None => "none",
    }
}

/// What a reply can be.
fn replies(said: &Descriptor) -> String {
    let can = &said.capability;
    if !can.reply {
        return "no".into();
    }
    let mut words = vec!["yes".to_owned()];
    words.extend(can.max_text.map(|most| format!("up to {most} characters")));
    words.extend(can.reply_window_s.map(|seconds| format!("within {} h", seconds / 3600)));
    words.extend(can.subject.then(|| "with a subject".into()));
    words.extend(can.attachments.then(|| "with attachments".into()));
    words.extend(can.can_start.then(|| "may write first".into()));
    words.join(", ")
}

fn bytes(count: u32) -> String {
    if count.is_multiple_of(1 << 20) { format!("{} MiB", count >> 20) } else { format!("{} KiB", count >> 10) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(vendor: &str, stability: Stability) -> Descriptor {
        Descriptor {
            channel: "chat".into(),
            vendor: vendor.into(),
            title: "A|B".into(),
            stability,
            settings: vec![types::SettingSpec {
                name: "key".into(),
                secret: true,
                required: true,
                description: "signs".into(),
            }],
            routes: vec![types::RouteSpec { methods: vec!["POST".into()], suffix: "".into(), purpose: "all".into() }],
            capability: types::Capability {
                reply: true,
                reply_window_s: Some(86_400),
                max_text: Some(160),
                subject: false,
                can_start: false,
                attachments: false,
            },
            strength: Strength::Credential,
            max_body: 65_536,
            hosts: vec!["api.example".into()],
        }
    }

    #[test]
    fn the_page_has_what_an_operator_decides_by() {
        let page = page(&[said("echo", Stability::Alpha), said("unripe", Stability::Development)]);
        for text in [
            "| [chat/echo](../components/chat/echo/README.md) | A\\|B | alpha | credential | yes, up to 160 characters, within 24 h | 64 KiB |",
            "| (none) | POST | all |",
            "| `key` | secret, required | signs |",
            "`api.example`",
        ] {
            assert!(page.contains(text), "{text} is not in {page}");
        }
        assert!(!page.contains("unripe"));
    }
}
