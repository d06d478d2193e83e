//! Bindings of `wit/channel`. Other crates remap their own bindings to these, so that an event is one Rust type
//! from the connector to the database.

#![allow(missing_docs, unreachable_pub, reason = "generated code; the WIT is its documentation")]

wit_bindgen::generate!({
    path: "../../wit/channel",
    world: "connector-component",
    pub_export_macro: true,
    export_macro_name: "__export_connector",
    default_bindings_module: "channel_sdk::bindings",
    additional_derives: [PartialEq, serde::Serialize, serde::Deserialize],
});

pub use exports::ventanilla::channel::connector;
pub use ventanilla::channel::types;
