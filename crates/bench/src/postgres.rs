//! A PostgreSQL server of the benchmark's own: on the disk whose `fsync` counts, with the server's own defaults for what is durable,
//! on the loopback address, gone with this process.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result, bail, ensure};

/// Runs until its standard input ends, which happens however this process ends. The server refuses to be root.
const SCRIPT: &str = r#"
set -eu
bin=$1 folder=$2 port=$3
if [ "$(id -u)" = 0 ]; then as() { runuser -u postgres -- "$@"; }; mkdir -p "$folder"; chown postgres "$folder"; else as() { "$@"; }; mkdir -p "$folder"; fi
trap 'as "$bin/pg_ctl" -D "$folder/data" -m immediate -s stop >/dev/null 2>&1 || true; rm -rf "$folder"' EXIT
# An interrupt reaches all of us; without this the shell would end and leave the server.
trap 'exit 1' INT TERM HUP
cd "$folder"
as "$bin/initdb" -D "$folder/data" -U postgres -A trust -E UTF8 --locale=C.UTF-8 >&2
as "$bin/pg_ctl" -D "$folder/data" -s -w -l "$folder/log" -o "-p $port -c listen_addresses=127.0.0.1 -c unix_socket_directories= \
  -c max_connections=100 -c shared_buffers=512MB -c max_wal_size=8GB -c checkpoint_timeout=30min" start >&2
echo ready
cat >/dev/null
"#;

/// The role of components: nobody special.
const ROLE: &str = "app";
/// A database with the schema, which others are copied from.
const TEMPLATE: &str = "migrated";

/// A running server with an empty, migrated database to copy.
pub struct Server {
    port: u16,
    folder: PathBuf,
    shell: Child,
    next: usize,
}

impl Server {
    /// Starts it with its data in `folder`, which must not exist, and migrates its template by `ventanilla migrate`.
    ///
    /// # Errors
    ///
    /// PostgreSQL is not installed, or does not start.
    pub async fn start(folder: &Path, ventanilla: &Path) -> Result<Self> {
        let folder = std::path::absolute(folder)?;
        let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let mut shell = Command::new("sh")
            .args(["-c", SCRIPT, "sh"])
            .arg(programs()?)
            .arg(&folder)
            .arg(port.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .context("starting a shell")?;
        let output = shell.stdout.take().context("no standard output")?;
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line)?;
        ensure!(line == "ready\n", "PostgreSQL did not start in {}", folder.display());
        let server = Self { port, folder, shell, next: 0 };
        server.run("postgres", &format!("CREATE ROLE {ROLE} LOGIN; CREATE ROLE owner LOGIN")).await?;
        server.run("postgres", &format!("CREATE DATABASE {TEMPLATE} OWNER owner")).await?;
        let address = server.address("owner", TEMPLATE);
        let status = Command::new(ventanilla)
            .args(["migrate", "--database-url", &address, "--admit", ROLE])
            .stdout(Stdio::null())
            .status()
            .with_context(|| format!("starting {}: build it first", ventanilla.display()))?;
        ensure!(status.success(), "ventanilla migrate: {status}");
        Ok(server)
    }

    /// The address of a new, empty, migrated database, for a component.
    ///
    /// # Errors
    ///
    /// The server's.
    pub async fn database(&mut self) -> Result<String> {
        self.next += 1;
        let name = format!("bench_{}", self.next);
        self.run("postgres", &format!("CREATE DATABASE {name} TEMPLATE {TEMPLATE} STRATEGY file_copy")).await?;
        // So that nobody's measurement has another one's checkpoint in it.
        self.run("postgres", "CHECKPOINT").await?;
        Ok(self.address(ROLE, &name))
    }

    /// Where the server is, as an entry of the allow-list.
    pub fn host(&self) -> String {
        format!("postgres://127.0.0.1:{}", self.port)
    }

    fn address(&self, user: &str, database: &str) -> String {
        format!("postgres://{user}@127.0.0.1:{}/{database}?sslmode=disable", self.port)
    }

    /// Runs statements, one by one, as the superuser in the database of this address.
    ///
    /// # Errors
    ///
    /// The server's.
    pub async fn run_in(&self, address: &str, statements: &[&str]) -> Result<()> {
        let name = address.rsplit('/').next().and_then(|rest| rest.split('?').next()).unwrap_or_default();
        for sql in statements {
            self.run(name, sql).await?;
        }
        Ok(())
    }

    async fn run(&self, database: &str, sql: &str) -> Result<()> {
        let (client, connection) =
            tokio_postgres::connect(&self.address("postgres", database), tokio_postgres::NoTls).await?;
        let driver = tokio::spawn(connection);
        let outcome = client.batch_execute(sql).await;
        drop(client);
        let _ = driver.await;
        outcome.with_context(|| format!("running {sql}"))
    }

    /// Seconds of processor time of all its processes so far.
    ///
    /// # Errors
    ///
    /// It is gone.
    pub fn processor_seconds(&self) -> Result<f64> {
        let file = std::fs::read_to_string(self.folder.join("data/postmaster.pid"))?;
        let main: u32 = file.lines().next().unwrap_or_default().parse()?;
        Ok(crate::process::processor_seconds(main, true)?)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.shell.stdin.take());
        let _ = self.shell.wait();
    }
}

/// Debian keeps the server's programs out of PATH.
fn programs() -> Result<PathBuf> {
    let debian = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> = debian.map(|entry| entry.path().join("bin")).collect();
    found.sort();
    let path = std::env::var_os("PATH").unwrap_or_default();
    found.extend(std::env::split_paths(&path));
    match found.into_iter().rev().find(|folder| folder.join("initdb").is_file()) {
        Some(folder) => Ok(folder),
        None => bail!("PostgreSQL is not installed: apt-get install postgresql"),
    }
}
