//! Tokens and KV cache to logits.

pub mod kv;
