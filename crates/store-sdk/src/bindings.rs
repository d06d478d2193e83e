//! Bindings of `wit/store`'s `provider` world; the channel's types are those of `channel-sdk`.

#![allow(missing_docs, unreachable_pub, reason = "generated code; the WIT is its documentation")]

wit_bindgen::generate!({
    path: ["../../wit/channel", "../../wit/store"],
    world: "ventanilla:store/provider",
    pub_export_macro: true,
    export_macro_name: "__export_store",
    default_bindings_module: "store_sdk::bindings",
    with: { "ventanilla:channel/types@1.0.0": channel_sdk::types },
    additional_derives: [PartialEq, serde::Serialize, serde::Deserialize],
});
