//! Which language a source file is written in, by its extension.

use super::Language;

/// The language of an extension in lower case.
pub(super) fn language(extension: &str) -> Option<Language> {
    Some(match extension {
        "sh" | "bash" | "zsh" | "ksh" => Language::Bash,
        "c" | "h" => Language::C,
        "cs" => Language::CSharp,
        "cpp" | "cc" | "cxx" | "hpp" | "hh" | "hxx" | "cu" | "cuh" | "ino" => Language::Cpp,
        "ex" | "exs" => Language::Elixir,
        "go" => Language::Go,
        "java" => Language::Java,
        "js" | "mjs" | "cjs" | "jsx" => Language::JavaScript,
        "kt" | "kts" => Language::Kotlin,
        "lua" => Language::Lua,
        "php" => Language::Php,
        "py" | "pyi" => Language::Python,
        "rb" | "rake" | "gemspec" => Language::Ruby,
        "rs" => Language::Rust,
        "scala" | "sc" => Language::Scala,
        "tsx" => Language::Tsx,
        "ts" | "mts" | "cts" => Language::TypeScript,
        "zig" => Language::Zig,
        _ => return None,
    })
}
