//! Bindings of `wit/store`'s `api` world; the channel's types are those of `channel-sdk`.

#![allow(missing_docs, unreachable_pub, reason = "generated code; the WIT is its documentation")]

spin_sdk::wit_bindgen::generate!({
    path: ["../../wit/channel", "../../wit/store"],
    world: "ventanilla:store/api",
    runtime_path: "::spin_sdk::wit_bindgen::rt",
    with: { "ventanilla:channel/types@1.0.0": channel_sdk::types },
    generate_all,
});

pub use ventanilla::store::{cases, directory, ledger, log, privacy};
