//! What front ends keep outside of Gibbon, as text: chats and comparisons. Pure functions from the protocol's types; who
//! calls them writes the text where it is wanted.

mod chat;
pub mod comparison;
pub mod json;

pub use chat::{chat_json, chat_markdown, ending};
