//! `cargo xtask`: everything a developer or the CI does with this repository, as commands that need no account.
//!
//! Read in this order: `layout` (what is where), `components` (building and wrapping), `run`, `tidy`, `test`, `bench`.

mod bench;
mod channels;
mod components;
mod fuzz;
mod layout;
mod peers;
mod progress;
mod recap;
mod run;
mod test;
mod tidy;
mod wit;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// Builds, runs, checks and measures Ventanilla.
#[derive(Parser)]
#[command(
    name = "cargo xtask",
    bin_name = "cargo xtask",
    after_help = "Examples:\n  \
        cargo xtask up                             build everything and serve on 127.0.0.1:3000\n  \
        cargo xtask up -- --listen 0.0.0.0:8080    the same, with options of `ventanilla up`\n  \
        cargo xtask test                           everything CI runs\n  \
        cargo xtask test missed_call               only tests whose name contains `missed_call`"
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Build everything, then run `ventanilla up`.
    ///
    /// The first build on a machine compiles the WebAssembly engine and takes minutes; later ones take seconds.
    Up {
        /// Options of `ventanilla up` (see `target/release/ventanilla up --help`).
        #[arg(last = true)]
        args: Vec<String>,
    },
    /// Build the components into target/components and show their sizes.
    ///
    /// Installs the Rust targets it needs. Fails if a connector imports anything but the channel's types.
    Build {
        /// Build the `ventanilla` program too.
        #[arg(long)]
        all: bool,
    },
    /// Run every test: tidy, format, components, unit tests, black-box tests with real peers.
    ///
    /// Installs what is missing and says so: Debian packages when run as root (otherwise it names the command), npm
    /// packages under target/peers/node, pip packages under target/peers/python. The last line printed is
    /// `N passed, N failed`.
    Test(test::Options),
    /// Try made-up requests for longer than `test` does, guided by which code they reach.
    ///
    /// What reaches new code is kept in target/fuzz/NAME and built upon the next time.
    Fuzz(fuzz::Options),
    /// Measure the budgets of the design and write docs/performance.md.
    Bench {
        /// Options of the bench program.
        #[arg(last = true)]
        args: Vec<String>,
    },
    /// Ask every connector what it is and write docs/channels.md.
    Channels,
    /// Check what a compiler can't see: documentation, names, dependency direction, contracts, licences.
    Tidy,
}

fn main() -> ExitCode {
    if let Some(code) = fuzz::as_compiler() {
        return code;
    }
    let done = |()| ExitCode::SUCCESS;
    let result = match Cli::parse().command {
        Command::Up { args } => run::up(&args).map(done),
        Command::Build { all } => {
            components::build().and_then(|()| if all { run::build_program() } else { Ok(()) }).map(done)
        }
        Command::Test(options) => test::run(&options),
        Command::Fuzz(options) => fuzz::run(&options).map(done),
        Command::Bench { args } => bench::run(&args).map(done),
        Command::Channels => channels::run().map(done),
        Command::Tidy => tidy::run().map(done),
    };
    match result {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
