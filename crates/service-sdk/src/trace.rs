//! What a request is being worked on with, for a host that traces it. Our host asks for it by a header and reads it line by line from
//! standard error; nobody else asks, and then nothing is said. No request data: names of steps, and a tenant's configured code.
//!
//! `wasi:otel` would be the standard way; Spin 4.1 has it only behind a flag, and does not start components that import it without.

use std::io::Write;

/// The header by which the host asks. Only the host can set it.
pub const HEADER: &str = "ventanilla-traced";

/// A step, until it is dropped. If the component stops before, the host knows in which.
#[must_use]
pub struct Step(Option<&'static str>);

impl Step {
    /// Begins one, if the host asked. Names are lower case letters and `_`.
    pub fn begin(asked: bool, name: &'static str) -> Self {
        if asked {
            say(b'+', name);
        }
        Self(asked.then_some(name))
    }
}

impl Drop for Step {
    fn drop(&mut self) {
        if let Some(name) = self.0 {
            say(b'-', name);
        }
    }
}

/// Whose request it is. Call it when the tenant is known from settings, not from the path alone.
pub fn tenant(asked: bool, code: &str) {
    if asked {
        say(b'=', code);
    }
}

fn say(sign: u8, name: &str) {
    // In one piece, so that it is one call of the host.
    let line = [&[0x1e, sign], name.as_bytes(), b"\n"].concat();
    // Standard error may be closed: then nobody wants to know.
    _ = std::io::stderr().write_all(&line);
}
