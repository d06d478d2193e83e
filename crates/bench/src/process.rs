//! A program under test: started, watched, stopped.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

/// A running server.
pub struct Server {
    child: Child,
    /// Where it listens.
    pub address: SocketAddr,
    /// From the start of the process to its line `{"ready":true,…}`.
    pub ready_after: Duration,
}

impl Server {
    /// Starts a program that prints `{"ready":true,"url":"http://…"}` when it serves.
    ///
    /// # Errors
    ///
    /// It can't be started, ends early, or is not ready within five minutes, in which it may have to compile what it serves.
    pub async fn start(program: &Path, arguments: &[&str], environment: &[(&str, String)]) -> Result<Self> {
        let start = Instant::now();
        let mut child = Command::new(program)
            .args(arguments)
            .envs(environment.iter().map(|(name, value)| (name, value)))
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("starting {}: build it first", program.display()))?;
        let output = child.stdout.take().context("no standard output")?;
        let mut lines = BufReader::new(output).lines();
        let ready = async {
            while let Some(line) = lines.next_line().await? {
                if let Ok(message) = serde_json::from_str::<serde_json::Value>(&line)
                    && message.get("ready").and_then(serde_json::Value::as_bool) == Some(true)
                {
                    let url = message.get("url").and_then(serde_json::Value::as_str).context("ready without url")?;
                    return Ok(url.trim_start_matches("http://").trim_end_matches('/').parse()?);
                }
            }
            bail!("it ended before it was ready")
        };
        let address = tokio::time::timeout(Duration::from_secs(300), ready)
            .await
            .with_context(|| format!("{} was not ready within five minutes", program.display()))?
            .with_context(|| format!("starting {}", program.display()))?;
        let ready_after = start.elapsed();
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Ok(Self { child, address, ready_after })
    }

    /// Starts a program that does not say when it serves: it does once it answers on `address`. Waits up to ten minutes,
    /// since the program may have to compile what it serves.
    ///
    /// # Errors
    ///
    /// It can't be started, ends early, or does not answer.
    pub async fn start_silent(
        program: &Path,
        arguments: &[&str],
        environment: &[(&str, String)],
        address: SocketAddr,
    ) -> Result<Self> {
        let start = Instant::now();
        let mut child = Command::new(program)
            .args(arguments)
            .envs(environment.iter().map(|(name, value)| (name, value)))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // Spin serves from a process of its process: they end together.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("starting {}", program.display()))?;
        while tokio::net::TcpStream::connect(address).await.is_err() {
            if child.try_wait()?.is_some() || start.elapsed() > Duration::from_secs(600) {
                bail!("{} ended, or did not answer within ten minutes", program.display());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(Self { child, address, ready_after: start.elapsed() })
    }

    /// Resident memory in MiB, now (`VmRSS`) and at its highest (`VmHWM`).
    ///
    /// # Errors
    ///
    /// The process is gone.
    pub fn memory(&self) -> Result<(f64, f64)> {
        Ok((self.status("VmRSS:")?, self.status("VmHWM:")?))
    }

    /// How much of it is the process's own, in MiB: the rest are files (the program, compiled components), of which the system keeps one
    /// copy for everybody and drops what it needs the room for.
    ///
    /// # Errors
    ///
    /// The process is gone.
    pub fn own_memory(&self) -> Result<f64> {
        self.status("RssAnon:")
    }

    fn status(&self, name: &str) -> Result<f64> {
        let id = self.child.id().context("the server is gone")?;
        let status = std::fs::read_to_string(format!("/proc/{id}/status"))?;
        let kilobytes = status
            .lines()
            .find_map(|line| line.strip_prefix(name)?.trim().strip_suffix("kB")?.trim().parse::<f64>().ok())
            .with_context(|| format!("no {name} in the process's status"))?;
        Ok(kilobytes / 1024.0)
    }

    /// Seconds of processor time so far.
    ///
    /// # Errors
    ///
    /// The process is gone.
    pub fn processor_seconds(&self) -> Result<f64> {
        processor_seconds(self.child.id().context("the server is gone")?, false)
    }

    /// Ends it, and the processes of its group if it has one of its own.
    pub async fn stop(mut self) {
        if let Some(id) = self.child.id() {
            // kill(1), since Rust's library ends single processes only. Without such a group it says so, and the next line does it.
            let group = ["-KILL".to_owned(), "--".to_owned(), format!("-{id}")];
            let _ = Command::new("kill").args(group).stderr(Stdio::null()).status().await;
        }
        let _ = self.child.kill().await;
    }
}

/// Seconds of processor time of a process; with `children` also of those it has and those it had.
///
/// # Errors
///
/// There is no such process.
pub fn processor_seconds(id: u32, children: bool) -> Result<f64> {
    // proc(5): after the name in parentheses come state, parent, … and in places 14 to 17 utime, stime, cutime and cstime, in ticks of 10 ms.
    let fields = |id: u32| -> Option<Vec<u64>> {
        let text = std::fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
        let (_, rest) = text.rsplit_once(')')?;
        Some(rest.split_whitespace().map(|field| field.parse().unwrap_or(0)).collect())
    };
    let sum = |fields: &[u64], from: usize, to: usize| fields.get(from..to).unwrap_or_default().iter().sum::<u64>();
    let own = fields(id).context("the process is gone")?;
    let mut ticks = sum(&own, 11, if children { 15 } else { 13 });
    if children {
        for entry in std::fs::read_dir("/proc")?.flatten() {
            let Some(child) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
            if let Some(fields) = fields(child).filter(|fields| fields.get(1) == Some(&u64::from(id))) {
                ticks += sum(&fields, 11, 15);
            }
        }
    }
    Ok(ticks as f64 / 100.0)
}
