//! Compiled components on disk, so that a start takes milliseconds.
//!
//! A compiled file is trusted code. The folder is private, and each file has a checksum beside it that is checked before
//! the code is mapped: a damaged file is compiled again.

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};
use std::{
    fs,
    hash::{DefaultHasher, Hash, Hasher},
    io::Read,
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
        let Ok(expected) = fs::read_to_string(file.with_extension("check")) else {
            return Ok(None);
        };
        if checksum(fs::File::open(file)?)? != expected.trim() {
            anyhow::bail!("{} is damaged", file.display());
        }
        deserialize_file(engine, file).map(Some)
    }

    fn store(&self, file: &Path, compiled: &[u8]) -> Result<()> {
        let unique = format!("{}-{}", std::process::id(), TEMPORARY.fetch_add(1, Ordering::Relaxed));
        let check = checksum(compiled)?;
        for (target, content) in [(file.to_owned(), compiled), (file.with_extension("check"), check.as_bytes())] {
            let temporary = self.folder.join(format!("{unique}.tmp"));
            fs::write(&temporary, content)?;
            fs::rename(&temporary, &target)?;
        }
        Ok(())
    }
}

/// Finds damage, not forgery: whoever can write to the folder can write the checksum as well. Every step is a bijection of
/// its lane, so a change of one word always shows. SHA-256 of 25 components would take most of a start.
fn checksum(mut from: impl Read) -> Result<String> {
    let mut lanes = [0x9e37_79b9_7f4a_7c15_u64, 0xc2b2_ae3d_27d4_eb4f, 0x1656_67b1_9e37_79f9, 0x27d4_eb2f_1656_67c5];
    let mut buffer = vec![0_u8; 256 * 1024];
    let mut length = 0_u64;
    loop {
        let mut filled = 0;
        while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match from.read(rest)? {
                0 => break,
                read => filled += read,
            }
        }
        length += filled as u64;
        // The end is padded with zeros; the length below tells it from zeros in the file.
        if let Some(rest) = buffer.get_mut(filled..) {
            rest.fill(0);
        }
        let used = buffer.get(..filled.next_multiple_of(32)).unwrap_or_default();
        for block in used.as_chunks::<32>().0 {
            for (lane, word) in lanes.iter_mut().zip(block.as_chunks::<8>().0) {
                *lane = (*lane ^ u64::from_le_bytes(*word)).wrapping_mul(0x9e37_79b1_85eb_ca87).rotate_left(29);
            }
        }
        if filled < buffer.len() {
            let mut out = length.to_le_bytes().to_vec();
            out.extend(lanes.iter().flat_map(|lane| lane.to_le_bytes()));
            return Ok(hex(&out));
        }
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

#[cfg(test)]
mod tests {
    use super::checksum;

    #[test]
    fn any_changed_byte_and_any_changed_length_shows() {
        let file: Vec<u8> = (0..300_000_u32).map(|n| (n % 251) as u8).collect();
        let right = checksum(file.as_slice()).unwrap();
        assert_eq!(checksum(file.as_slice()).unwrap(), right);
        for at in [0, 1, 31, 32, 262_143, 262_144, 299_999] {
            let mut changed = file.clone();
            changed[at] ^= 1;
            assert_ne!(checksum(changed.as_slice()).unwrap(), right, "byte {at}");
        }
        let mut longer = file.clone();
        longer.push(0);
        assert_ne!(checksum(longer.as_slice()).unwrap(), right);
        assert_ne!(checksum(&file[..file.len() - 1]).unwrap(), right);
    }
}
