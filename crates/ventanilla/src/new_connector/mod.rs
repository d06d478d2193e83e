//! `ventanilla new-connector`: writes a connector's folder and its stanza, so that it builds and passes its suite at once.

mod edits;

use crate::cli::NewConnectorOptions;
use crate::failure::failure;
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};
use ventanilla_host::manifest::Manifest;

/// The channels of the contract (`descriptor.channel`).
const CHANNELS: [&str; 6] = ["telephony", "email", "messaging", "social", "forms", "open311"];

/// Longest name of a vendor.
const MAX_NAME: usize = 32;

/// Files of the folder: path, and text with `{{channel}}`, `{{vendor}}` and `{{variable}}` in it.
macro_rules! templates {
    ($($path:literal)*) => {
        [$(($path, include_str!(concat!("../../templates/connector/", $path)))),*]
    };
}

const FILES: [(&str, &str); 16] = templates![
    "Cargo.toml"
    "README.md"
    "src/lib.rs"
    "src/wire.rs"
    "src/authenticate.rs"
    "src/translate.rs"
    "src/acknowledge.rs"
    "src/render.rs"
    "testdata/context.json"
    "testdata/secrets.json"
    "testdata/message-from-a-citizen/request.http"
    "testdata/message-from-a-citizen/expected.json"
    "testdata/message-from-a-citizen/answer.http"
    "testdata/refused-wrong-signature/request.http"
    "testdata/refused-wrong-signature/error.txt"
    "testdata/refused-wrong-signature/answer.http"
];

const STANZA: &str = include_str!("../../templates/connector/stanza.toml");

/// Writes everything, or nothing and says why.
pub(crate) fn run(options: &NewConnectorOptions) -> Result<()> {
    let here = std::env::current_dir().context("cannot tell the current folder")?;
    let root = checkout(&here)?;
    let name = Name::new(&options.channel, &options.vendor)?;
    let written = write(&root, &name)?;
    let Name { channel, vendor } = &name;
    println!("wrote components/{channel}/{vendor} ({} files)", FILES.len());
    for file in written {
        println!("changed {file}");
    }
    println!(
        "\nIt takes JSON signed with HMAC-SHA256, and passes. Now make it speak the provider's dialect:\n  \
        cargo xtask build                               builds it beside the others\n  \
        cargo test --release -p {channel}-{vendor}      its contract suite\n  \
        components/{channel}/{vendor}/testdata          save real, redacted requests as <story>/request.http\n  \
        BLESS=1 cargo test --release -p {channel}-{vendor}   writes what they give; read it as a reviewer\n  \
        cargo xtask up                                  serves it; SPIN_VARIABLE_{} has its settings\n\
        CONTRIBUTING.md has the whole way.",
        name.variable().to_ascii_uppercase()
    );
    Ok(())
}

/// The checkout that a folder is in.
fn checkout(here: &Path) -> Result<PathBuf> {
    let is_root = |folder: &&Path| {
        ["spin.toml", "Cargo.toml", "wit/channel/connector.wit"].iter().all(|file| folder.join(file).is_file())
    };
    here.ancestors().find(is_root).map(Path::to_path_buf).ok_or_else(|| {
        failure(
            format!("{} is not in a checkout of Ventanilla: a connector is a folder of its sources", here.display()),
            "clone the repository and run this in it",
        )
    })
}

/// What a connector is called.
#[derive(Debug)]
struct Name {
    channel: String,
    vendor: String,
}

impl Name {
    fn new(channel: &str, vendor: &str) -> Result<Self> {
        if !CHANNELS.contains(&channel) {
            return Err(failure(
                format!("{channel:?} is not a channel"),
                format!("the channels are {}; wit/channel/types.wit says what they are", CHANNELS.join(", ")),
            ));
        }
        // It is part of a path, a URL, a cargo package and the name of a variable.
        let fits = vendor.starts_with(|c: char| c.is_ascii_lowercase())
            && vendor.len() <= MAX_NAME
            && !vendor.ends_with('-')
            && !vendor.contains("--")
            && vendor.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if !fits {
            return Err(failure(
                format!("{vendor:?} can't be a vendor's name"),
                format!(
                    "lower-case letters, digits and single dashes, a letter first, at most {MAX_NAME}: acme, acme-2"
                ),
            ));
        }
        Ok(Self { channel: channel.into(), vendor: vendor.into() })
    }

    /// Of its settings, in spin.toml.
    fn variable(&self) -> String {
        format!("{}_{}", self.channel, self.vendor).replace('-', "_")
    }

    fn fill(&self, template: &str) -> String {
        template
            .replace("{{channel}}", &self.channel)
            .replace("{{vendor}}", &self.vendor)
            .replace("{{variable}}", &self.variable())
    }
}

/// Writes the folder and changes the two files; gives the names of those that were changed.
fn write(root: &Path, name: &Name) -> Result<Vec<&'static str>> {
    let Name { channel, vendor } = name;
    let folder = root.join("components").join(channel).join(vendor);
    if folder.exists() {
        return Err(failure(
            format!("components/{channel}/{vendor} exists already"),
            "choose another name, or remove that folder and its stanza in spin.toml",
        ));
    }
    let read = |file: &str| std::fs::read_to_string(root.join(file)).with_context(|| format!("cannot read {file}"));
    let manifest = edits::with_stanza(&read("spin.toml")?, &name.fill(STANZA), &name.variable())?;
    // Whatever the file looks like by now: it is not written unless both hosts could read it.
    Manifest::parse(&root.join("spin.toml"), &manifest, None).map_err(|error| {
        failure(
            format!("spin.toml would be wrong with a stanza for {channel}/{vendor}: {error:#}"),
            "remove what is left there of an earlier connector of this name",
        )
    })?;
    let workspace = edits::with_member(&read("Cargo.toml")?, &format!("components/{channel}/*"))?;
    let done = FILES
        .iter()
        .try_for_each(|(path, text)| put(&folder.join(path), &name.fill(text)))
        .and_then(|()| put(&root.join("spin.toml"), &manifest))
        .and_then(|()| workspace.as_ref().map_or(Ok(()), |text| put(&root.join("Cargo.toml"), text)));
    if done.is_err() {
        let _ = std::fs::remove_dir_all(&folder);
    }
    done?;
    Ok(if workspace.is_some() { vec!["spin.toml", "Cargo.toml"] } else { vec!["spin.toml"] })
}

fn put(file: &Path, text: &str) -> Result<()> {
    let folder = file.parent().unwrap_or(file);
    std::fs::create_dir_all(folder)
        .and_then(|()| std::fs::write(file, text))
        .with_context(|| format!("cannot write {}", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder that looks like a checkout, with this repository's own two files.
    fn checkout_of(test: &str) -> PathBuf {
        let root = std::env::temp_dir().join(format!("ventanilla-new-{test}-{}", std::process::id()));
        put(&root.join("spin.toml"), include_str!("../../../../spin.toml")).unwrap();
        put(&root.join("Cargo.toml"), include_str!("../../../../Cargo.toml")).unwrap();
        put(&root.join("wit/channel/connector.wit"), "").unwrap();
        root
    }

    #[test]
    fn a_connector_is_a_folder_and_a_stanza_and_nothing_else() {
        let root = checkout_of("folder");
        let name = Name::new("messaging", "acme-2").unwrap();
        assert_eq!(write(&root, &name).unwrap(), ["spin.toml"]);
        assert_eq!(std::fs::read_to_string(root.join("Cargo.toml")).unwrap(), include_str!("../../../../Cargo.toml"));
        let manifest = Manifest::load(&root.join("spin.toml"), None).unwrap();
        assert!(manifest.variables.contains_key("messaging_acme_2"));
        assert!(crate::up::connectors(&manifest).iter().any(|c| c.channel == "messaging" && c.vendor == "acme-2"));
        for (path, _) in FILES {
            let text = std::fs::read_to_string(root.join("components/messaging/acme-2").join(path)).unwrap();
            assert!(!text.contains("{{"), "{path} has a placeholder left");
        }
        // Once more is refused and changes nothing.
        let before = std::fs::read_to_string(root.join("spin.toml")).unwrap();
        assert!(write(&root, &name).unwrap_err().to_string().contains("exists already"));
        // Nor is it with the folder gone and the stanza left.
        std::fs::remove_dir_all(root.join("components")).unwrap();
        assert!(write(&root, &name).unwrap_err().to_string().contains("spin.toml"));
        assert!(!root.join("components").exists());
        assert_eq!(std::fs::read_to_string(root.join("spin.toml")).unwrap(), before);
        std::fs::remove_dir_all(root).unwrap();
    }

    #[test]
    fn the_checkout_is_found_from_any_folder_in_it_and_missed_outside() {
        let root = checkout_of("checkout");
        let inner = root.join("wit/channel");
        assert_eq!(checkout(&inner).unwrap(), root);
        assert!(checkout(&std::env::temp_dir()).unwrap_err().to_string().contains("not in a checkout"));
        std::fs::remove_dir_all(root).unwrap();
    }

    #[test]
    fn a_name_fits_a_path_a_package_and_a_variable_or_is_refused() {
        for good in ["acme", "acme-2", "a"] {
            assert!(Name::new("email", good).is_ok(), "{good}");
        }
        for bad in ["", "Acme", "2acme", "-a", "a-", "a--b", "a_b", "a/b", "..", "ñ", "a b", &"a".repeat(33)] {
            assert!(Name::new("email", bad).is_err(), "{bad}");
        }
        assert!(Name::new("fax", "acme").unwrap_err().to_string().contains("not a channel"));
    }
}
