//! What black-box tests need of the machine. A folder under tests/, or a member's own
//! tests/, that needs Debian packages lists them in `debian.txt`; what comes from PyPI or npm the tests get themselves,
//! into target/peers.

use crate::layout;
use crate::progress::{run_quiet, run_visible};
use anyhow::{Result, bail};
use std::path::Path;
use std::process::Command;

/// Installs the Debian packages that these folders list and that are missing; says so.
pub(crate) fn provide(folders: &[std::path::PathBuf]) -> Result<()> {
    let mut wanted = vec![("python3".to_owned(), "python3".to_owned())];
    for folder in folders {
        let file = folder.join("debian.txt");
        if file.is_file() {
            wanted.extend(packages(&layout::read(&file)?));
        }
    }
    wanted.retain(|(program, package)| !on_path(program) && !installed(package));
    if wanted.is_empty() {
        return Ok(());
    }
    let mut names: Vec<&str> = wanted.iter().map(|(_, package)| package.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    let command = format!("apt-get install -y --no-install-recommends {}", names.join(" "));
    if !on_path("apt-get") {
        bail!("the tests need {}; install them with this system's package manager", names.join(", "));
    }
    if run_quiet(Command::new("id").arg("-u")).is_ok_and(|id| id.trim() != "0") {
        bail!("the tests need {}; run: sudo {command}", names.join(", "));
    }
    run_visible(Command::new("apt-get").args(["update", "-qq"]), "looking for Debian packages (apt-get update)")?;
    run_visible(
        Command::new("apt-get")
            .env("DEBIAN_FRONTEND", "noninteractive")
            // A package's service must not start and take a port that a test wants.
            .env("RUNLEVEL", "1")
            .args(["install", "-y", "-qq", "--no-install-recommends"])
            .args(&names),
        &format!("installing {} ({command})", names.join(", ")),
    )
}

/// Lines `package`, or `program package` where the program has another name.
fn packages(text: &str) -> Vec<(String, String)> {
    text.lines()
        .map(|line| line.split('#').next().unwrap_or_default())
        .filter_map(|line| {
            let mut words = line.split_whitespace();
            let first = words.next()?;
            Some((first.to_owned(), words.next().unwrap_or(first).to_owned()))
        })
        .collect()
}

/// Whether Debian's package manager has it; a package of modules puts no program anywhere.
fn installed(package: &str) -> bool {
    run_quiet(Command::new("dpkg-query").args(["-W", "-f", "${Status}", package]))
        .is_ok_and(|status| status.trim() == "install ok installed")
}

/// Whether a program is on PATH, or where Debian puts servers.
pub(crate) fn on_path(program: &str) -> bool {
    find(program).is_some()
}

/// Where a program is.
pub(crate) fn find(program: &str) -> Option<std::path::PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin", "/sbin"].map(|folder| Path::new(folder).to_path_buf()))
        .map(|folder| folder.join(program))
        .find(|file| file.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_packages_may_name_the_program_and_have_comments() {
        let read = packages("# peers\nkamailio\nsipp sip-tester # the caller\n\n");
        assert_eq!(read, [("kamailio".into(), "kamailio".into()), ("sipp".into(), "sip-tester".into())]);
    }

    #[test]
    fn a_program_that_is_there_is_found() {
        assert!(on_path("sh"));
        assert!(!on_path("no-such-program-of-ours"));
    }
}
