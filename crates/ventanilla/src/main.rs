//! `ventanilla`: serves the whole application from one process, and looks into a running one.
//!
//! Read in this order: `cli` (what it offers), `up` (serving), `client` (how the other commands reach a server), then one
//! module per command. `dialects` has the callers it can play; nothing else here knows a provider.

mod call;
mod capabilities;
mod cases;
mod channels;
mod check;
mod cli;
mod client;
mod config;
mod deliver;
mod dialects;
mod doctor;
mod failure;
mod ledger;
mod log;
mod migrate;
mod new_connector;
mod output;
mod privacy;
mod reply;
mod state;
mod tenant;
mod token;
mod up;

use clap::{CommandFactory, FromArgMatches};
use cli::{Cli, Command};
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What a shell says of a program that was ended by SIGPIPE.
const CLOSED_PIPE: i32 = 128 + 13;

/// `head` closes its end of a pipe when it has seen enough. Rust's runtime ignores the signal that ends other programs then, so that
/// `print!` panics.
fn end_quietly_on_a_closed_pipe() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let said = panic.payload_as_str().unwrap_or_default();
        if said.starts_with("failed printing to std") && said.contains("Broken pipe") {
            std::process::exit(CLOSED_PIPE);
        }
        usual(panic);
    }));
}

fn main() -> ExitCode {
    end_quietly_on_a_closed_pipe();
    let matches = Cli::command().get_matches();
    let result = Cli::from_arg_matches(&matches).map_err(anyhow::Error::from).and_then(|cli| run(cli, &matches));
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            failure::report(&error);
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli, matches: &clap::ArgMatches) -> anyhow::Result<()> {
    let target = cli.target;
    match cli.command {
        Command::Up(options) => up::run(options, target.data),
        Command::Cases(options) => cases::list(&target.client()?, &options),
        Command::Case(options) => cases::show(&target.client()?, &options),
        Command::Reply(options) => reply::reply(&target.client()?, &options),
        Command::Deliver(options) => deliver::run(&target, &options),
        Command::Events(options) => log::events(&target.client()?, &options),
        Command::Envelopes(options) => log::envelopes(&target.client()?, &options),
        Command::Replay(options) => log::replay(&target.client()?, &options),
        Command::Retention { command } => privacy::retention(&target.client()?, command.as_ref()),
        Command::Erase(options) => privacy::erase(&target.client()?, &options),
        Command::Hold(options) => privacy::hold(&target.client()?, &options),
        Command::Audit(options) => privacy::audit(&target.client()?, &options),
        Command::Ledger(options) => ledger::run(&target.client()?, &options),
        Command::Call(options) => {
            let steps = matches.subcommand_matches("call").map(call::steps_in_order).unwrap_or_default();
            call::run(&target, &options, steps)
        }
        Command::Config { command: cli::ConfigCommand::Check(options) } => config::check(&target, &options),
        Command::Doctor(options) => doctor::run(&target, &options),
        Command::Tenant { command } => tenant::run(&target, &command),
        Command::Check(options) => check::run(&options),
        Command::Channels(options) => channels::run(&options),
        Command::Capabilities(options) => capabilities::run(&options),
        Command::Token(options) => token::run(&target, &options),
        Command::Migrate(options) => migrate::run(&options),
        Command::NewConnector(options) => new_connector::run(&options),
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), "ventanilla", &mut std::io::stdout());
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_and_option_says_what_it_is_for() {
        fn walk(command: &clap::Command) {
            assert!(command.get_about().is_some(), "{}", command.get_name());
            for argument in command.get_arguments() {
                assert!(argument.get_help().is_some(), "{} {}", command.get_name(), argument.get_id());
            }
            command.get_subcommands().for_each(walk);
        }
        walk(&Cli::command());
    }
}
