//! The command line: its help is the manual.

use crate::client::{Client, Target};
use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;
use std::path::PathBuf;

/// One window for every channel of a public administration.
///
/// Telephone calls, e-mail, messages, forms and posts reach an administration through connectors and become cases.
/// `ventanilla up` serves the whole application on this machine; the other commands look into a running one.
#[derive(Parser)]
#[command(
    name = "ventanilla",
    version,
    after_long_help = "FIRST STEPS\n  \
        ventanilla up                        serve on 127.0.0.1:3000 with the demo tenant\n  \
        ventanilla call --press 1            place a telephone call (in another terminal)\n  \
        ventanilla cases                     see the case it opened\n\n\
        FILES\n  \
        spin.toml                            what is served where, and by which components\n  \
        .env                                 SPIN_VARIABLE_NAME=value lines\n  \
        .ventanilla/                         databases, compiled components, demo.json\n\n\
        ENVIRONMENT\n  \
        SPIN_VARIABLE_<NAME>                 a variable of spin.toml\n  \
        VENTANILLA_URL, _TOKEN, _TENANT      defaults of --url, --token and --tenant\n  \
        OTEL_EXPORTER_OTLP_ENDPOINT, …       where `up` sends traces (docs/operators.md)\n\n\
        EXIT STATUS\n  \
        0 success, 1 failure, 2 wrong usage"
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) target: TargetOptions,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Which server and whose cases.
#[derive(Args, Clone, Debug)]
pub(crate) struct TargetOptions {
    /// The server [default: where `ventanilla up` last served from this data folder, else http://127.0.0.1:3000].
    #[arg(long, global = true, env = "VENTANILLA_URL", value_name = "URL")]
    pub(crate) url: Option<String>,
    /// API token of the tenant [default: the demo tenant's].
    #[arg(long, global = true, env = "VENTANILLA_TOKEN", hide_env_values = true, value_name = "TOKEN")]
    pub(crate) token: Option<String>,
    /// The administration [default: demo].
    #[arg(long, global = true, env = "VENTANILLA_TENANT", value_name = "CODE")]
    pub(crate) tenant: Option<String>,
    /// Folder with databases, compiled components and demo.json.
    #[arg(long, global = true, env = "VENTANILLA_DATA", value_name = "FOLDER", default_value = ".ventanilla")]
    pub(crate) data: PathBuf,
}

impl TargetOptions {
    /// Options and files put together.
    pub(crate) fn target(&self) -> anyhow::Result<Target> {
        Target::find(self)
    }

    /// A client of that server.
    pub(crate) fn client(&self) -> anyhow::Result<Client> {
        Ok(Client::new(self.target()?))
    }
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Serve the application described by spin.toml until interrupted.
    ///
    /// When no connector has settings for any tenant, the tenant `demo` is set up: an invented municipality, with secrets
    /// made on this machine and kept in demo.json in the data folder. Variables given by the environment, --env-file or
    /// --variable always win.
    Up(UpOptions),
    /// List cases, newest first.
    Cases(CasesOptions),
    /// Show one case with its events, tasks, notes and history.
    Case(CaseOptions),
    /// Answer the citizen of a case, by the channel of their last message.
    ///
    /// The reply is queued and leaves within seconds; `ventanilla case` shows whether it was sent, delivered or refused, and why.
    Reply(ReplyOptions),
    /// Send what is queued, for servers that have no timer of their own (cron, a Kubernetes CronJob).
    ///
    /// `ventanilla up` does it by itself.
    Deliver(DeliverOptions),
    /// List events, oldest first.
    Events(EventsOptions),
    /// List envelopes (raw requests as received), newest first.
    Envelopes(EnvelopesOptions),
    /// Translate stored envelopes again, after a connector has been repaired.
    ///
    /// Without an id every quarantined envelope of the tenant is replayed; with --from or --to every envelope received then, whatever became of
    /// it. What was stored before stays once.
    Replay(ReplayOptions),
    /// Show whether what came in adds up, per connector and period; fails if it does not.
    ///
    /// The words are defined in docs/ledger.md. Envelopes are sealed in a chain of hashes: --verify makes every hash again. The head that is
    /// printed, kept elsewhere, shows later (--head) that nothing up to there was changed, taken away or cut off.
    Ledger(LedgerOptions),
    /// How long what is known of people is kept: show the rules, or set them.
    ///
    /// Without a rule everything is kept. An open case is never touched, nor one on hold. What a rule takes is gone for good, from the next
    /// turn of the timer on (every ten minutes); backups keep it as long as you keep them (docs/privacy.md).
    Retention {
        #[command(subcommand)]
        command: Option<RetentionCommand>,
    },
    /// Erase what is known of a person, or of a case, for good. Look with --dry-run first.
    ///
    /// Names, handles, texts, places, files, raw requests, notes and replies go; references, times, counts and the ledger's chain stay, and an entry
    /// in the audit. Nothing brings it back but a backup. What waits in quarantine nobody has understood: replay it first.
    Erase(EraseOptions),
    /// Put a case on hold, so that neither retention nor an erasure touches it; or end the hold with --release.
    Hold(HoldOptions),
    /// What was erased, retained, held and removed: by whom, when and why.
    Audit(AuditOptions),
    /// Play a caller: place a signed telephone call and walk through the menu.
    ///
    /// Prints what is said and does what it is told, in the order of --say, --press and --script. At a terminal it asks
    /// when the script is used up; otherwise it stays silent, as a caller who waits.
    Call(CallOptions),
    /// Check the configuration.
    Config {
        #[command(subcommand)]
        command: ConfigCommand,
    },
    /// Look at everything a running server can be asked, and say what to do about what is wrong; fails if something is.
    ///
    /// Whether it answers and takes calls, its clock, the ledger, quarantine, the spool, settings, and what stopped or was turned away
    /// since it started.
    Doctor(DoctorOptions),
    /// Bring a PostgreSQL database to this version's schema.
    ///
    /// Forward only, and while older components go on working. Interrupted, it is finished by the next run. Run it as the schema's owner,
    /// before components of a new version start; they never do it themselves.
    Migrate(MigrateOptions),
    /// Show and change what administrations say about themselves.
    Tenant {
        #[command(subcommand)]
        command: TenantCommand,
    },
    /// Write a new connector into this checkout: its folder, its stanza in spin.toml, and two stories that pass.
    ///
    /// It builds and passes its contract suite at once; CONTRIBUTING.md has the way from there.
    NewConnector(NewConnectorOptions),
    /// Check whether a built component keeps the contract of a connector.
    ///
    /// It is given changed and made-up requests, and the golden cases of a folder if there is one. Each rule is told: ok, or what
    /// failed, with which request, and what to do. With BLESS=1 in the environment the cases' expected files are written anew.
    Check(CheckComponentOptions),
    /// Make an API token, and the entry for the variable api_tokens that knows it by its hash alone.
    ///
    /// The token is shown once: give it to whoever will use it. The entry goes into the list of the tenant in
    /// SPIN_VARIABLE_API_TOKENS; the server reads it when it starts.
    Token(TokenOptions),
    /// Print what every connector of the application says of itself, as a page (docs/channels.md).
    Channels(ChannelsOptions),
    /// Print what each component of the application may reach: hosts, databases, variables (docs/capabilities.md).
    Capabilities(CapabilitiesOptions),
    /// Print a completion script for a shell.
    Completions {
        /// Which shell.
        shell: Shell,
    },
}

#[derive(Args)]
pub(crate) struct UpOptions {
    /// Address and port; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:3000", value_name = "ADDRESS:PORT")]
    pub(crate) listen: String,
    /// Which store: components with such a profile in spin.toml use it, others stay as they are.
    #[arg(long, value_parser = ["sqlite", "postgres"], default_value = "sqlite")]
    pub(crate) profile: String,
    /// Connections to PostgreSQL at most (see max_connections of the server).
    #[arg(long, value_name = "NUMBER", default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) postgres_connections: u16,
    /// Requests a second that one tenant may send by one connector; beyond it 429. A quarter of them may come at once. Five times
    /// what it usually sends is a start [default: no limit but a fair share].
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) tenant_rate: Option<u32>,
    /// File of SPIN_VARIABLE_NAME=value lines [default: .env if it exists].
    #[arg(long, value_name = "FILE")]
    pub(crate) env_file: Option<PathBuf>,
    /// Print one line of JSON when it serves, and logs as JSON on standard error.
    #[arg(long)]
    pub(crate) json: bool,
    /// Logs, on standard error: for people, or one JSON object per line [default: human, json with --json].
    #[arg(long, value_parser = ["human", "json"], value_name = "FORMAT")]
    pub(crate) log_format: Option<String>,
    /// Continue the traces (W3C traceparent) that requests come with; only behind a proxy that removes those of strangers.
    #[arg(long)]
    pub(crate) trust_trace_context: bool,
    /// Give a variable of spin.toml a value; wins over the environment. May be repeated.
    #[arg(long = "variable", value_name = "NAME=VALUE")]
    pub(crate) variables: Vec<String>,
    /// The application.
    #[arg(long, default_value = "spin.toml", value_name = "FILE")]
    pub(crate) manifest: PathBuf,
    /// How often to look whether something is to be sent; 0 sends nothing (see `ventanilla deliver`).
    #[arg(long, default_value = "2s", value_name = "TIME")]
    pub(crate) deliver_every: String,
    /// Test aid: the clock that components see starts here (RFC 3339) and runs on.
    #[arg(long, value_name = "TIME", help_heading = "Test aids")]
    pub(crate) clock: Option<String>,
    /// Test aid: send every outbound request of a component to this address, in absolute form and without TLS.
    #[arg(long, value_name = "http://ADDRESS:PORT", help_heading = "Test aids")]
    pub(crate) outbound_via: Option<String>,
}

#[derive(Args)]
pub(crate) struct CasesOptions {
    /// Only these: new, open, pending, resolved or closed.
    #[arg(long)]
    pub(crate) status: Option<String>,
    /// Only those of this channel, e.g. telephony.
    #[arg(long)]
    pub(crate) channel: Option<String>,
    /// Beginnings of words in subject, text, name or handle, or of the reference.
    #[arg(long, value_name = "WORDS")]
    pub(crate) q: Option<String>,
    /// At most so many (1 to 500).
    #[arg(long, default_value_t = 50)]
    pub(crate) limit: u32,
    /// Keep showing cases as they are opened or change.
    #[arg(long, short)]
    pub(crate) follow: bool,
    /// One case per line, as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args)]
pub(crate) struct CaseOptions {
    /// The case's reference, with or without dashes.
    pub(crate) reference: String,
    /// As JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args)]
pub(crate) struct ReplyOptions {
    /// The case's reference, with or without dashes.
    pub(crate) reference: String,
    /// What to write; standard input if absent or `-`. After `--` it may begin with a dash.
    pub(crate) text: Vec<String>,
    /// Who answers [default: staff].
    #[arg(long, value_name = "NAME")]
    pub(crate) author: Option<String>,
    /// As JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args)]
pub(crate) struct DeliverOptions {
    /// The server's variable courier_token.
    #[arg(long, env = "VENTANILLA_COURIER_TOKEN", hide_env_values = true, value_name = "TOKEN")]
    pub(crate) courier_token: Option<String>,
    /// Again and again, so often, until interrupted: 5s, 500ms or 2m. Once if absent.
    #[arg(long, value_name = "TIME")]
    pub(crate) every: Option<String>,
    /// Only this connector, as channel/vendor. May be repeated [default: those of the manifest].
    #[arg(long = "connector", value_name = "CHANNEL/VENDOR")]
    pub(crate) connectors: Vec<String>,
    /// The application whose connectors deliver.
    #[arg(long, default_value = "spin.toml", value_name = "FILE")]
    pub(crate) manifest: PathBuf,
    /// One line of JSON per connector that had something to send.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args)]
pub(crate) struct EventsOptions {
    /// Only those of this connector, as channel/vendor.
    #[arg(long)]
    pub(crate) connector: Option<String>,
    /// Keep showing events as they come.
    #[arg(long, short)]
    pub(crate) follow: bool,
    /// One event per line, as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args)]
pub(crate) struct EnvelopesOptions {
    /// Only these: pending, accepted or quarantined.
    #[arg(long)]
    pub(crate) disposition: Option<String>,
    /// At most so many (1 to 500).
    #[arg(long, default_value_t = 50)]
    pub(crate) limit: u32,
    /// One envelope per line, as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args)]
pub(crate) struct ReplayOptions {
    /// Ids of envelopes; all quarantined ones if absent.
    pub(crate) envelopes: Vec<String>,
    /// Those received from this day (2026-11-21, as the tenant's clocks show it) or time (2026-11-21T10:00:00Z) on.
    #[arg(long, value_name = "TIME", conflicts_with = "envelopes")]
    pub(crate) from: Option<String>,
    /// Those received up to the end of this day, or until this time.
    #[arg(long, value_name = "TIME", conflicts_with = "envelopes")]
    pub(crate) to: Option<String>,
    /// One result per line, as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args)]
pub(crate) struct LedgerOptions {
    /// What was received from this day (2026-11-21, as the tenant's clocks show it) or time (2026-11-21T10:00:00Z) on.
    #[arg(long, value_name = "TIME")]
    pub(crate) from: Option<String>,
    /// What was received up to the end of this day, or until this time.
    #[arg(long, value_name = "TIME")]
    pub(crate) to: Option<String>,
    /// A line per day or per hour; without --from the last seven days, or 24 hours.
    #[arg(long, value_parser = ["day", "hour"])]
    pub(crate) by: Option<String>,
    /// Only those of this connector, as channel/vendor.
    #[arg(long)]
    pub(crate) connector: Option<String>,
    /// Examine the chain: make every digest and every link again.
    #[arg(long)]
    pub(crate) verify: bool,
    /// Examine it against a head that was printed and kept before.
    #[arg(long, value_name = "NUMBER:LINK")]
    pub(crate) head: Option<String>,
    /// As JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args)]
pub(crate) struct CallOptions {
    /// The webhook to call [default: the tenant's own on the server].
    #[arg(value_name = "WEBHOOK")]
    pub(crate) webhook: Option<String>,
    /// The secret to sign with [default: the demo tenant's].
    #[arg(long, env = "VENTANILLA_SECRET", hide_env_values = true)]
    pub(crate) secret: Option<String>,
    /// The caller's number; `anonymous` withholds it.
    #[arg(long, default_value = "+34600000001", value_name = "NUMBER")]
    pub(crate) from: String,
    /// The number called.
    #[arg(long, default_value = "+34910000000", value_name = "NUMBER")]
    pub(crate) to: String,
    /// Say this when asked. May be repeated, in order with --press.
    #[arg(long, value_name = "TEXT")]
    pub(crate) say: Vec<String>,
    /// Key these digits when asked. May be repeated, in order with --say.
    #[arg(long, value_name = "DIGITS")]
    pub(crate) press: Vec<String>,
    /// File with one step per line: `say TEXT`, `press DIGITS`, `wait` or `hang-up`.
    #[arg(long, value_name = "FILE")]
    pub(crate) script: Option<PathBuf>,
    /// Hang up when the steps are used up, at the next question.
    #[arg(long)]
    pub(crate) hang_up: bool,
    /// What becomes of a call put through: answered, no-answer, busy or failed.
    #[arg(long, default_value = "answered", value_parser = ["answered", "no-answer", "busy", "failed"])]
    pub(crate) dial: String,
    /// Each step of the call as a line of JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Subcommand)]
pub(crate) enum ConfigCommand {
    /// Show, per tenant and connector, the URL to give to the provider, what is missing or misspelt, and try it.
    ///
    /// The test sends a request with a wrong signature, which must be refused, and, where the secret is at hand and the
    /// provider has a request that opens no case, a rightly signed one, which must be accepted.
    Check(CheckOptions),
}

#[derive(Args)]
pub(crate) struct CheckOptions {
    /// The application whose connectors are checked.
    #[arg(long, default_value = "spin.toml", value_name = "FILE")]
    pub(crate) manifest: PathBuf,
    /// As JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args)]
pub(crate) struct MigrateOptions {
    /// Which store's database.
    #[arg(long, value_parser = ["sqlite", "postgres"], default_value = "postgres")]
    pub(crate) profile: String,
    /// postgres://USER:PASSWORD@HOST:5432/DATABASE [default: the variable postgres_url].
    #[arg(long, value_name = "URL")]
    pub(crate) database_url: Option<String>,
    /// Then let this role do what a store component does, and nothing else. May be repeated.
    #[arg(long = "admit", value_name = "ROLE")]
    pub(crate) admit: Vec<String>,
    /// Certificate (PEM) of the authority that signed the server's, if it is not one of the web's [default: the variable postgres_ca].
    #[arg(long, value_name = "FILE")]
    pub(crate) database_ca: Option<PathBuf>,
    /// File of SPIN_VARIABLE_NAME=value lines [default: .env if it exists].
    #[arg(long, value_name = "FILE")]
    pub(crate) env_file: Option<PathBuf>,
    /// The application whose variable it is.
    #[arg(long, default_value = "spin.toml", value_name = "FILE")]
    pub(crate) manifest: PathBuf,
    /// As JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Subcommand)]
pub(crate) enum TenantCommand {
    /// Create or replace a tenant's profile: departments, languages, menu, opening hours.
    Apply {
        /// Profile as JSON (`ventanilla tenant export --example` shows one); `-` reads standard input.
        file: PathBuf,
    },
    /// List the tenants the token opens.
    List,
    /// Print the tenant's profile as JSON.
    Export {
        /// An invented one to start from, without asking a server.
        #[arg(long)]
        example: bool,
    },
    /// Remove everything of a tenant, for good: cases, contacts, events, envelopes, seals, profile. Only the audit stays.
    ///
    /// From then on whoever sends for it is told that there is no such tenant. Keep the ledger's head it prints: by it a backup can still be checked.
    /// Interrupted, it goes on when it is called again, and so does the server's timer. Take the tenant out of the settings, too.
    Remove {
        /// The tenant's code.
        code: String,
        /// The same code again: nothing else removes a municipality.
        #[arg(long, value_name = "CODE")]
        confirm: Option<String>,
        /// Why; it stays in the audit.
        #[arg(long)]
        reason: String,
        /// Who does it.
        #[arg(long, default_value = "cli")]
        author: String,
    },
}

#[derive(Subcommand)]
pub(crate) enum RetentionCommand {
    /// Show the rules.
    Show,
    /// Replace all rules: `envelopes=30 texts=365 cases=1825`; none keeps everything.
    ///
    /// In days since the case was finished (without a case since the receipt), by kind: envelopes (raw requests), texts, locations, media, recordings (of
    /// calls), people (names and handles), cases (all of it). Raw requests have everything, so nothing is kept shorter than they are.
    Set {
        /// `KIND=DAYS`.
        rules: Vec<String>,
        /// Who does it.
        #[arg(long, default_value = "cli")]
        author: String,
    },
}

#[derive(Args)]
pub(crate) struct EraseOptions {
    /// A handle of the person, as in a case: +34600111222, or with its scheme phone:+34600111222. Handles joined with it are meant too.
    #[arg(long, value_name = "HANDLE", required_unless_present = "case", conflicts_with = "case")]
    pub(crate) contact: Option<String>,
    /// The reference of one case.
    #[arg(long, value_name = "REFERENCE")]
    pub(crate) case: Option<String>,
    /// Why; it stays in the audit, so nothing personal.
    #[arg(long)]
    pub(crate) reason: String,
    /// Who does it.
    #[arg(long, default_value = "cli")]
    pub(crate) author: String,
    /// Only say what would be erased.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// As JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args)]
pub(crate) struct HoldOptions {
    /// The case.
    pub(crate) reference: String,
    /// Why.
    #[arg(long, required_unless_present = "release", conflicts_with = "release")]
    pub(crate) reason: Option<String>,
    /// End the hold.
    #[arg(long)]
    pub(crate) release: bool,
    /// Who does it.
    #[arg(long, default_value = "cli")]
    pub(crate) author: String,
}

#[derive(Args)]
pub(crate) struct AuditOptions {
    /// How many of the newest entries.
    #[arg(long, default_value_t = 50)]
    pub(crate) limit: usize,
    /// As JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args)]
pub(crate) struct TokenOptions {
    /// Who will use it, to find the entry again.
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// What it is good for; may be repeated [default: all].
    ///
    /// read: see cases, events, envelopes and counts. write: change cases, reply, join contacts. operate: replay envelopes, look at
    /// settings, change the profile, pause destinations.
    #[arg(long = "scope", value_name = "SCOPE", value_parser = ["read", "write", "operate"])]
    pub(crate) scopes: Vec<String>,
    /// Days until it ends [default: never].
    #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u32).range(1..=3650))]
    pub(crate) days: Option<u32>,
    /// Print one line of JSON with `token` and `entry`.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args)]
pub(crate) struct NewConnectorOptions {
    /// telephony, email, messaging, social, forms or open311.
    pub(crate) channel: String,
    /// The provider, in lower case: letters, digits and dashes.
    pub(crate) vendor: String,
}

#[derive(Args)]
pub(crate) struct CheckComponentOptions {
    /// The component file.
    #[arg(value_name = "FILE.wasm")]
    pub(crate) component: PathBuf,
    /// Golden cases [default: components/<channel>/<vendor>/testdata if it is there].
    #[arg(long, value_name = "FOLDER")]
    pub(crate) cases: Option<PathBuf>,
    /// As JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args)]
pub(crate) struct DoctorOptions {
    /// The application, to know its connectors.
    #[arg(long, default_value = "spin.toml", value_name = "FILE")]
    pub(crate) manifest: PathBuf,
    /// As JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args)]
pub(crate) struct CapabilitiesOptions {
    /// The application.
    #[arg(long, default_value = "spin.toml", value_name = "FILE")]
    pub(crate) manifest: PathBuf,
    /// Which store.
    #[arg(long, value_parser = ["sqlite", "postgres"], default_value = "sqlite")]
    pub(crate) profile: String,
    /// As JSON.
    #[arg(long, conflicts_with = "markdown")]
    pub(crate) json: bool,
    /// As a page, with both profiles.
    #[arg(long)]
    pub(crate) markdown: bool,
}

#[derive(Args)]
pub(crate) struct ChannelsOptions {
    /// The application whose connectors are asked.
    #[arg(long, default_value = "spin.toml", value_name = "FILE")]
    pub(crate) manifest: PathBuf,
    /// As JSON.
    #[arg(long)]
    pub(crate) json: bool,
}
