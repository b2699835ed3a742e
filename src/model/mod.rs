//! Tokens and KV cache to logits.

pub mod hub;
pub mod kv;
