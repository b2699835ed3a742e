use super::*;

/// Each section as its path and its first line.
fn outline(text: &str, language: Language) -> Vec<String> {
    let structure = structure(text, language);
    let mut end = 0;
    for section in &structure.sections {
        assert_eq!(section.span.start, end, "sections cover the text");
        end = section.span.end;
    }
    assert_eq!(end, text.len());
    let line = |section: &Section| text[section.span.clone()].lines().next().unwrap_or_default().to_owned();
    structure.sections.iter().map(|s| format!("{} | {}", s.path.join(" > "), line(s))).collect()
}

#[test]
fn rust_items_and_members_take_their_comments_along() {
    let text = "//! Module.\n\nuse std::fmt;\nconst A: u8 = 1;\n\n/// Doc.\n#[derive(Debug)]\nstruct Dome;\n\n\
        impl fmt::Display for Dome {\n    /// Shows.\n    fn fmt(&self) {}\n\n    fn other() {}\n}\n\nfn last() {}\n";
    let expected = [
        " | //! Module.",
        "struct Dome | /// Doc.",
        "impl fmt::Display for Dome | impl fmt::Display for Dome {",
        "impl fmt::Display for Dome > fn fmt |     /// Shows.",
        "impl fmt::Display for Dome > fn other |     fn other() {}",
        "fn last | fn last() {}",
    ];
    assert_eq!(outline(text, Language::Rust), expected);
}

#[test]
fn python_classes_have_their_methods_as_sections() {
    let text = "import os\n\n# The dome.\nclass Dome:\n    \"\"\"A dome.\"\"\"\n    limit = 85\n\n    @property\n    \
        def state(self):\n        return 1\n\n    def close(self):\n        pass\n\ndef main():\n    pass\n";
    let expected = [
        " | import os",
        "class Dome | # The dome.",
        "class Dome > def state |     @property",
        "class Dome > def close |     def close(self):",
        "def main | def main():",
    ];
    assert_eq!(outline(text, Language::Python), expected);
}

#[test]
fn the_other_languages_name_their_items() {
    let c = "#include <a.h>\n\nstatic int *open_dome(int a) { return 0; }\n\nstruct dome { int a; };\n";
    assert_eq!(
        outline(c, Language::C),
        [
            " | #include <a.h>",
            "open_dome | static int *open_dome(int a) { return 0; }",
            "struct dome | struct dome { int a; };"
        ]
    );
    let go = "package dome\n\nfunc Open() {}\n\nfunc (d *Dome) Close() {}\n\ntype Dome struct{}\n";
    assert_eq!(
        outline(go, Language::Go),
        [
            " | package dome",
            "func Open | func Open() {}",
            "func Close | func (d *Dome) Close() {}",
            "type Dome | type Dome struct{}"
        ]
    );
    let js = "import a from 'a';\n\nexport class Dome {\n  close() {}\n}\n\nfunction open() {}\n";
    assert_eq!(
        outline(js, Language::JavaScript),
        [
            " | import a from 'a';",
            "class Dome | export class Dome {",
            "class Dome > method close |   close() {}",
            "function open | function open() {}"
        ]
    );
}

#[test]
fn sources_that_no_person_wrote_are_one_section() {
    let deep = "[".repeat(20_000);
    assert_eq!(structure(&deep, Language::JavaScript).sections.len(), 1);
    assert!(!structure(&format!("{}1{}", "(".repeat(400), ")".repeat(400)), Language::Python).syntax);
    assert!(!structure(&"a = 1\n".repeat(MAX_BYTES / 6 + 1), Language::Python).syntax);
}

/// The paths of the items, each once.
fn items(text: &str, language: Language) -> Vec<String> {
    let mut paths: Vec<String> =
        structure(text, language).sections.iter().map(|section| section.path.join(" > ")).collect();
    paths.retain(|path| !path.is_empty());
    paths.dedup();
    paths
}

#[test]
fn every_language_names_its_items_and_their_members() {
    let cases: &[(Language, &str, &[&str])] = &[
        (
            Language::Bash,
            "#!/bin/bash\nset -e\n\n# Opens.\nopen_dome() {\n  echo hi\n}\n\nfunction close_dome {\n  echo\n}\n",
            &["function open_dome", "function close_dome"],
        ),
        (
            Language::CSharp,
            "using System;\n\nnamespace Night {\n  /// Doc.\n  public class Dome {\n    public Dome() {}\n    public int Wind { get; }\n\
                 void Close() {}\n  }\n  interface IDome { }\n}\n",
            &[
                "namespace Night",
                "namespace Night > class Dome",
                "namespace Night > class Dome > constructor Dome",
                "namespace Night > class Dome > property Wind",
                "namespace Night > class Dome > method Close",
                "namespace Night > interface IDome",
            ],
        ),
        (
            Language::Cpp,
            "#include <a>\nnamespace night {\n\ntemplate <class T>\nclass Dome {\n public:\n  void close() {}\n  int& wind() { return w; }\n};\n\n\
             }\n\nvoid night::Dome::open() {}\n",
            &[
                "namespace night",
                "namespace night > class Dome",
                "namespace night > class Dome > close",
                "namespace night > class Dome > wind",
                "night::Dome::open",
            ],
        ),
        (
            Language::Elixir,
            "defmodule Night.Dome do\n  @doc \"Closes.\"\n  def close(dome) when dome > 1 do\n    :ok\n  end\n\n  defp wind, do: 15\nend\n",
            &["defmodule Night.Dome", "defmodule Night.Dome > def close", "defmodule Night.Dome > defp wind"],
        ),
        (
            Language::Java,
            "package a;\n\n/** Doc. */\npublic class Dome {\n  int wind;\n  Dome() {}\n  /** Doc. */\n  @Override\n  void close() {}\n}\n\nenum State { OPEN }\n",
            &["class Dome", "class Dome > constructor Dome", "class Dome > method close", "enum State"],
        ),
        (
            Language::Kotlin,
            "package a\n\nclass Dome(val w: Int) {\n  fun close() {}\n}\n\nobject Night {\n  fun log() {}\n}\n\nfun main() {}\n",
            &["class Dome", "class Dome > fun close", "object Night", "object Night > fun log", "fun main"],
        ),
        (
            Language::Lua,
            "local a = 1\n\n-- Closes.\nfunction Dome:close()\nend\n\nlocal function wind()\nend\n",
            &["function Dome:close", "function wind"],
        ),
        (
            Language::Php,
            "<?php\nnamespace Night;\n\nclass Dome {\n  public function close() {}\n}\n\nfunction wind() {}\n",
            &["namespace Night", "class Dome", "class Dome > method close", "function wind"],
        ),
        (
            Language::Ruby,
            "require 'a'\n\nmodule Night\n  # Doc.\n  class Dome\n    def close\n    end\n\n    def self.wind\n    end\n  end\nend\n",
            &[
                "module Night",
                "module Night > class Dome",
                "module Night > class Dome > def close",
                "module Night > class Dome > def self.wind",
            ],
        ),
        (
            Language::Scala,
            "package a\n\nclass Dome {\n  def close(): Unit = {}\n}\n\nobject Night {\n  def log = 1\n}\n\ntrait State\n",
            &[
                "class Dome",
                "class Dome > def close",
                "object Night",
                "object Night > def log",
                "trait State",
            ],
        ),
        (
            Language::TypeScript,
            "import a from 'a';\n\nexport interface Dome {\n  wind: number;\n}\n\nexport class Night {\n  close(): void {}\n}\n\n\
             export const open = (a: number) => a;\n\ntype State = 'open';\n\nconst limit = 15;\n",
            &["interface Dome", "class Night", "class Night > method close", "const open", "type State"],
        ),
        (
            Language::Tsx,
            "export function View() {\n  return <p>hi</p>;\n}\n\nenum State { Open }\n",
            &["function View", "enum State"],
        ),
        (
            Language::Zig,
            "const std = @import(\"std\");\n\n/// Doc.\npub const Dome = struct {\n    wind: u8,\n\n    pub fn close(self: Dome) void {}\n};\n\n\
             fn open() void {}\n\ntest \"opens\" {\n}\n",
            &["const Dome", "const Dome > fn close", "fn open", "test \"opens\""],
        ),
    ];
    for (language, text, expected) in cases {
        assert_eq!(items(text, *language), *expected, "{language:?}");
        outline(text, *language);
    }
}
