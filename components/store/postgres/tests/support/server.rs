//! A PostgreSQL server of this test program's own: own data folder, loopback, a port nobody has, gone with the process.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, OnceLock};

/// Runs the server until its standard input ends, which happens however this process ends. `initdb` and the server refuse to be root.
const SCRIPT: &str = r#"
set -eu
folder=$(mktemp -d "${TMPDIR:-/tmp}/store-postgres-XXXXXX")
server=
end() { [ -z "$server" ] || { kill -INT "$server" 2>/dev/null; wait "$server" 2>/dev/null || true; }; rm -rf "$folder"; }
trap end EXIT
cd "$folder"
"$1/initdb" -D data -U postgres -A trust -E UTF8 --locale=C.UTF-8 >initdb.log 2>&1 || { cat initdb.log >&2; exit 1; }
"$1/postgres" -D data -h 127.0.0.1 -p "$2" -c unix_socket_directories= -c max_connections=300 -c fsync=off -c full_page_writes=off \
  -c max_wal_size=4GB -c autovacuum=off -c shared_buffers=128MB -c log_min_messages=fatal -c log_lock_waits=off \
  ${STORE_TEST_OPTIONS:-} </dev/null >"${STORE_TEST_LOG:-server.log}" 2>&1 &
server=$!
n=0
until "$1/pg_isready" -q -h 127.0.0.1 -p "$2"; do
  n=$((n + 1))
  if [ $n -gt 300 ] || ! kill -0 "$server" 2>/dev/null; then cat server.log >&2; exit 1; fi
  sleep 0.1
done
echo ready
cat >/dev/null
"#;

struct Server {
    port: u16,
    _process: Mutex<Child>,
}

fn server() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(start)
}

/// Where the server's programs are: the newest of Debian's, or those on PATH.
fn programs() -> PathBuf {
    let whole =
        |folder: &PathBuf| ["initdb", "postgres", "pg_isready"].iter().all(|program| folder.join(program).is_file());
    let listed = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let newest = listed.map(|version| version.path().join("bin")).filter(whole).max();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = newest.or_else(|| std::env::split_paths(&path).find(whole));
    found.expect("PostgreSQL's server (initdb, postgres, pg_isready) is not installed: apt-get install postgresql")
}

fn start() -> Server {
    // Free now; nobody else binds it before the server does, short of a rare bad luck that shows itself.
    let port = std::net::TcpListener::bind("127.0.0.1:0").and_then(|it| it.local_addr()).expect("a free port").port();
    let root = Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout.starts_with(b"0\n"));
    let mut command = if root {
        let mut command = Command::new("runuser");
        command.args(["-u", "postgres", "--", "sh"]);
        command
    } else {
        Command::new("sh")
    };
    command.args(["-c", SCRIPT, "store-postgres"]).arg(programs()).arg(port.to_string());
    command.current_dir("/").stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut process = command.spawn().expect("a shell");
    let mut line = String::new();
    BufReader::new(process.stdout.take().expect("output")).read_line(&mut line).expect("a line");
    assert_eq!(line, "ready\n", "the server did not start: its words are above");
    Server { port, _process: Mutex::new(process) }
}

/// The address of a database of the server.
pub fn address(database: &str, user: &str) -> String {
    format!("host=127.0.0.1 port={} user={user} dbname={database}", server().port)
}

/// The same for a component, which knows URLs as well.
#[allow(dead_code, reason = "each test program uses some of this")]
pub fn url(database: &str, user: &str) -> String {
    format!("postgres://{user}@127.0.0.1:{}/{database}?sslmode=disable", server().port)
}

/// What lets a component reach the server.
#[allow(dead_code, reason = "each test program uses some of this")]
pub fn host() -> String {
    format!("postgres://127.0.0.1:{}", server().port)
}

/// Runs a script as the superuser.
#[allow(dead_code, reason = "each test program uses some of this")]
pub fn psql(database: &str, sql: &str) -> String {
    let mut child = Command::new("psql")
        .args(["-X", "-q", "-t", "-A", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1", "-U", "postgres"])
        .args(["-p", &server().port.to_string(), "-d", database])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("psql");
    child.stdin.take().expect("input").write_all(sql.as_bytes()).expect("written");
    let mut out = String::new();
    child.stdout.take().expect("output").read_to_string(&mut out).expect("text");
    assert!(child.wait().expect("ended").success(), "{sql}");
    out
}

/// What statements, run as a role, say of the plans of every statement they run, with the rows that each step gave.
#[allow(dead_code, reason = "each test program uses some of this")]
pub fn plans(database: &str, role: &str, sql: &str) -> String {
    let script = format!(
        "LOAD 'auto_explain'; SET auto_explain.log_min_duration = 0; SET auto_explain.log_analyze = on; SET auto_explain.log_timing = off; \
         SET auto_explain.log_nested_statements = on; SET auto_explain.log_level = notice; SET ROLE {role};\n{sql}\n"
    );
    let port = server().port.to_string();
    let mut child = Command::new("psql")
        .args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1", "-U", "postgres", "-p", &port, "-d", database])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("psql");
    let mut input = child.stdin.take().expect("input");
    let writing = std::thread::spawn(move || input.write_all(script.as_bytes()).expect("written"));
    let mut said = String::new();
    child.stderr.take().expect("words").read_to_string(&mut said).expect("text");
    writing.join().expect("written");
    assert!(child.wait().expect("ended").success(), "{said}");
    said
}
