//! Stub.
#[derive(clap::Args)]
pub(crate) struct Options { filter: Option<String> }
pub(crate) fn run(_: &Options) -> anyhow::Result<()> { Ok(()) }
