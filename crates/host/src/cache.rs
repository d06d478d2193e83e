//! Compiled components on disk, so that a start takes milliseconds.
//!
//! A compiled file is trusted code. The folder is private, and each file has a checksum beside it that is checked before
//! the code is mapped: a damaged file is compiled again.

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};
use std::{
    fs,
    hash::{DefaultHasher, Hash, Hasher},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};
use wasmtime::{Engine, component::Component};

/// The folder of compiled components of one engine.
pub struct Cache {
    folder: PathBuf,
    compatibility: u64,
}

/// A file name in the cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key(String);

static TEMPORARY: AtomicU64 = AtomicU64::new(0);

impl Cache {
    /// Opens (and creates) the folder.
    pub fn open(folder: PathBuf, engine: &Engine) -> Result<Self> {
        let mut builder = fs::DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(&folder).with_context(|| {
            format!("can't create the cache folder {}: give a writable --data folder", folder.display())
        })?;
        // Covers wasmtime's version and every flag that changes the code.
        let mut hasher = DefaultHasher::new();
        engine.precompile_compatibility_hash().hash(&mut hasher);
        Ok(Self { folder, compatibility: hasher.finish() })
    }

    /// The key of whatever is made from these parts.
    pub fn key<'a>(&self, parts: impl IntoIterator<Item = &'a [u8]>) -> Key {
        let mut hash = Sha256::new();
        hash.update(self.compatibility.to_le_bytes());
        for part in parts {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
        Key(hex(&hash.finalize()))
    }

    /// The compiled component, from the folder or from `make`.
    pub fn get_or_compile(
        &self,
        engine: &Engine,
        key: &Key,
        make: impl FnOnce() -> Result<Vec<u8>>,
    ) -> Result<Component> {
        let file = self.folder.join(format!("{}.cwasm", key.0));
        match self.load(engine, &file) {
            Ok(Some(component)) => return Ok(component),
            Ok(None) => {}
            Err(error) => tracing::warn!(
                error = format!("{error:#}"),
                "a compiled component in the cache is not usable; compiling it again"
            ),
        }
        let wasm = make()?;
        let compiled = engine.precompile_component(&wasm).map_err(anyhow::Error::from).context("compiling failed")?;
        if let Err(error) = self.store(&file, &compiled) {
            tracing::warn!(
                error = format!("{error:#}"),
                "can't write to the cache of compiled components; the next start compiles again"
            );
            return deserialize(engine, &compiled);
        }
        match self.load(engine, &file)? {
            Some(component) => Ok(component),
            None => deserialize(engine, &compiled),
        }
    }

    fn load(&self, engine: &Engine, file: &Path) -> Result<Option<Component>> {
        let Ok(expected) = fs::read_to_string(file.with_extension("sum")) else {
            return Ok(None);
        };
        let bytes = fs::read(file)?;
        if hex(&Sha256::digest(&bytes)) != expected.trim() {
            anyhow::bail!("{} is damaged", file.display());
        }
        deserialize_file(engine, file).map(Some)
    }

    fn store(&self, file: &Path, compiled: &[u8]) -> Result<()> {
        let unique = format!("{}-{}", std::process::id(), TEMPORARY.fetch_add(1, Ordering::Relaxed));
        for (target, content) in
            [(file.to_owned(), compiled), (file.with_extension("sum"), hex(&Sha256::digest(compiled)).as_bytes())]
        {
            let temporary = self.folder.join(format!("{unique}.tmp"));
            fs::write(&temporary, content)?;
            fs::rename(&temporary, &target)?;
        }
        Ok(())
    }
}

#[expect(unsafe_code, reason = "wasmtime trusts compiled code; this is our own file, its checksum is checked above")]
fn deserialize_file(engine: &Engine, file: &Path) -> Result<Component> {
    Ok(unsafe { Component::deserialize_file(engine, file) }?)
}

#[expect(unsafe_code, reason = "the bytes were compiled by this process a moment ago")]
fn deserialize(engine: &Engine, compiled: &[u8]) -> Result<Component> {
    Ok(unsafe { Component::deserialize(engine, compiled) }?)
}

/// SHA-256 of a file's content.
pub fn digest(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut out, byte| {
        use std::fmt::Write;
        let _ = write!(out, "{byte:02x}");
        out
    })
}
