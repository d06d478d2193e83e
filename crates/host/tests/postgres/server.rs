//! A PostgreSQL server of the tests' own: its data in a temporary folder, on the loopback interface, gone with the test process.

use std::{
    io::{BufRead, BufReader, Write},
    net::TcpListener,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Mutex,
        atomic::{AtomicU32, Ordering},
    },
};

/// The password of user `tester`, a superuser.
pub(crate) const PASSWORD: &str = "open-sesame";

/// Does the work in a shell of its own, because that ends (and cleans up) when our end of its standard input is closed, however we end.
/// PostgreSQL refuses to run as root, so as root it runs as Debian's user `postgres`.
const SCRIPT: &str = r#"
set -e
umask 077
dir=$1 port=$2 bin=$3
as() { if [ "$(id -u)" = 0 ]; then runuser -u postgres -- "$@"; else "$@"; fi; }
cd /
as mkdir "$dir"
trap 'as "$bin/pg_ctl" -D "$dir/data" -m immediate -s stop >/dev/null 2>&1 || true; rm -rf "$dir"' EXIT
as sh -c "printf %s '$4' > '$dir/password'"
as "$bin/initdb" -D "$dir/data" -U tester -A scram-sha-256 --pwfile="$dir/password" -E UTF8 --locale=C --no-sync >"$dir/log" 2>&1
as sh -c "cd '$dir/data' && openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=tests-ca \
  -addext basicConstraints=critical,CA:TRUE -keyout ca.key -out ca.pem && \
  openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=localhost -keyout server.key -out server.csr && \
  printf 'subjectAltName=DNS:localhost' > server.ext && \
  openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile server.ext -out server.crt" >>"$dir/log" 2>&1
as "$bin/pg_ctl" -D "$dir/data" -s -w -l "$dir/server.log" -o "-p $port -c listen_addresses=127.0.0.1 \
  -c unix_socket_directories= -c fsync=off -c ssl=on -c max_connections=60" start
echo ready
cat >/dev/null
"#;

pub(crate) struct Server {
    pub(crate) port: u16,
    folder: PathBuf,
    shell: Mutex<Child>,
}

impl Server {
    pub(crate) fn start() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("ventanilla-postgres-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let folder = std::env::temp_dir().join(name);
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut shell = Command::new("sh")
            .args(["-c", SCRIPT, "sh"])
            .arg(&folder)
            .arg(port.to_string())
            .arg(programs())
            .arg(PASSWORD)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // An interrupt from the keyboard must not end it before it has cleaned up.
            .process_group(0)
            .spawn()
            .expect("sh runs");
        let mut line = String::new();
        BufReader::new(shell.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n", "PostgreSQL did not start: {}", shell.wait().unwrap());
        Self { port, folder, shell: Mutex::new(shell) }
    }

    /// A connection string; `more` goes after it.
    pub(crate) fn address(&self, more: &str) -> String {
        format!(
            "host=127.0.0.1 port={} user=tester password={PASSWORD} dbname=postgres sslmode=disable {more}",
            self.port
        )
    }

    /// One over TLS, by the name its certificate has.
    pub(crate) fn encrypted(&self, more: &str) -> String {
        format!("postgres://tester:{PASSWORD}@localhost:{}/postgres?sslmode=require{more}", self.port)
    }

    /// The certificate of the authority that signed the server's.
    pub(crate) fn ca(&self) -> String {
        std::fs::read_to_string(self.folder.join("data/ca.pem")).expect("tests run as root or as the server's user")
    }

    /// What the server has written into its log.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.folder.join("server.log")).unwrap()
    }

    /// Somebody else's connection.
    pub(crate) async fn administrator(&self) -> tokio_postgres::Client {
        let (client, driver) = tokio_postgres::connect(&self.address(""), tokio_postgres::NoTls).await.unwrap();
        tokio::spawn(driver);
        client
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let mut shell = self.shell.lock().unwrap();
        drop(shell.stdin.take().map(|mut end| end.flush()));
        let _ = shell.wait();
    }
}

/// Debian keeps the server's programs out of PATH.
fn programs() -> PathBuf {
    let debian = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> = debian.map(|entry| entry.path().join("bin")).collect();
    found.sort();
    let path = std::env::var_os("PATH").unwrap_or_default();
    found.extend(std::env::split_paths(&path));
    let has_server = |folder: &&PathBuf| Path::new(folder).join("initdb").is_file();
    let newest = found.iter().rev().find(has_server);
    newest.expect("PostgreSQL is not installed: `cargo xtask test` installs it, or: apt-get install postgresql").clone()
}
