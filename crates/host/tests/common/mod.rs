//! What host tests share: a folder of their own, the guest component, a manifest around it.

#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "shared by several test binaries, and tests may"
)]

use bytes::Bytes;
use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering},
    },
};
use ventanilla_host::{Host, Options};

/// A folder that is removed again.
pub struct Folder(PathBuf);

impl Folder {
    pub fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("ventanilla-host-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

pub fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Builds a component of this crate's tests. About a minute when its dependencies are not compiled yet.
pub fn build_guest(folder: &str, triple: &str, file: &str) -> PathBuf {
    let target = workspace().join("target/host-guest");
    let status = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--release", "--target", triple, "--target-dir"])
        .arg(&target)
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(folder))
        .env_remove("RUSTFLAGS")
        .status()
        .expect("cargo runs");
    assert!(status.success(), "{folder} does not compile: is the target there? rustup target add {triple}");
    target.join(triple).join("release").join(file)
}

/// tests/guest, built once per test binary.
pub fn guest() -> &'static Path {
    static GUEST: OnceLock<PathBuf> = OnceLock::new();
    GUEST.get_or_init(|| build_guest("tests/guest", "wasm32-wasip2", "host_guest.wasm"))
}

/// A manifest with the guest at `/...`; `more` goes into its `[component.guest]`.
pub fn options(folder: &Folder, more: &str) -> Options {
    let manifest = folder.path().join("spin.toml");
    let text = format!(
        "spin_manifest_version = 2\n[application]\nname = \"test\"\n\
         [variables]\ngreeting = {{ default = \"hi\" }}\n\
         [[trigger.http]]\nroute = \"/...\"\ncomponent = \"guest\"\n\
         [[trigger.http]]\nroute = \"/fixed\"\nstatic_response = {{ status_code = 418, headers = {{ x-a = \"b\" }}, body = \"fixed\" }}\n\
         [component.guest]\nsource = {:?}\nsqlite_databases = [\"default\"]\nvariables = {{ v = \"<{{{{ greeting }}}}>\" }}\n{more}\n",
        guest()
    );
    std::fs::write(&manifest, text).unwrap();
    let mut options = Options::new(manifest);
    options.listen = "127.0.0.1:0".into();
    options.data_dir = folder.path().join("data");
    // Compiled once for all tests.
    options.cache_dir = Some(workspace().join("target/host-guest/cache"));
    options
}

/// Status and text of a GET.
pub async fn get(host: &Host, target: &str) -> (u16, String) {
    send(host, http::Request::get(target).body(Bytes::new()).unwrap()).await
}

/// Status and text of a request with a body.
pub async fn post(host: &Host, target: &str, body: impl Into<Bytes>) -> (u16, String) {
    send(host, http::Request::post(target).body(body.into()).unwrap()).await
}

async fn send(host: &Host, request: http::Request<Bytes>) -> (u16, String) {
    let response = host.call(request).await.unwrap();
    (response.status().as_u16(), String::from_utf8_lossy(response.body()).into_owned())
}
