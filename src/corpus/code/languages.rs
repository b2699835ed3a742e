//! What an item is in each language: the nodes of its grammar that are worth a section, and how they are named.

use super::super::Language;

/// What is known of a language.
pub(super) struct Syntax {
    pub grammar: fn() -> tree_sitter::Language,
    pub items: &'static [Item],
    /// Nodes that hold an item and say something about it: an export, a decorator, template parameters.
    pub wrappers: &'static [&'static str],
    /// Nodes besides comments that stand above an item and belong to it.
    pub annotations: &'static [&'static str],
}

/// A node that is an item.
pub(super) struct Item {
    /// The node's kind in the grammar.
    pub kind: &'static str,
    /// What stands before its name.
    pub keyword: &'static str,
    pub name: Name,
    pub members: Members,
}

/// Where an item's name is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Name {
    /// In the field `name`, or the field of that name in a child of this kind.
    Field,
    In(&'static str),
    /// Inside C's declarators.
    Declarator,
    /// All of it up to its body.
    Head,
    /// Of a variable that holds something of one of these kinds; one that does not is no item.
    Holding(&'static [&'static str]),
    /// Elixir's items are calls of macros: the macro's name and its first argument.
    Macro,
}

/// Where an item's members are, for items whose members are worth a section.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Members {
    None,
    /// In the field `body`.
    Body,
    /// In a child of this kind, however deep it stands in expressions.
    In(&'static str),
}

const fn item(kind: &'static str, keyword: &'static str, members: Members) -> Item {
    Item { kind, keyword, name: Name::Field, members }
}

const fn named(kind: &'static str, keyword: &'static str, name: Name) -> Item {
    Item { kind, keyword, name, members: Members::None }
}

use Members::{Body, None as Alone};

/// A function that a constant holds.
const JS_FUNCTIONS: &[&str] = &["arrow_function", "function_expression", "generator_function", "class"];
const ZIG_TYPES: &[&str] = &[
    "struct_declaration",
    "enum_declaration",
    "union_declaration",
    "opaque_declaration",
    "error_set_declaration",
];

const C_ITEMS: [Item; 6] = [
    named("function_definition", "", Name::Declarator),
    item("struct_specifier", "struct", Alone),
    item("enum_specifier", "enum", Alone),
    item("union_specifier", "union", Alone),
    named("type_definition", "typedef", Name::Declarator),
    item("preproc_function_def", "macro", Alone),
];

const CPP_ITEMS: [Item; 9] = [
    named("function_definition", "", Name::Declarator),
    item("class_specifier", "class", Body),
    item("struct_specifier", "struct", Body),
    item("enum_specifier", "enum", Alone),
    item("union_specifier", "union", Alone),
    item("namespace_definition", "namespace", Body),
    named("type_definition", "typedef", Name::Declarator),
    item("alias_declaration", "using", Alone),
    item("preproc_function_def", "macro", Alone),
];

const TYPESCRIPT_ITEMS: [Item; 12] = [
    item("function_declaration", "function", Alone),
    item("generator_function_declaration", "function", Alone),
    item("function_signature", "function", Alone),
    item("class_declaration", "class", Body),
    item("abstract_class_declaration", "class", Body),
    item("method_definition", "method", Alone),
    item("interface_declaration", "interface", Alone),
    item("type_alias_declaration", "type", Alone),
    item("enum_declaration", "enum", Alone),
    item("internal_module", "namespace", Body),
    item("module", "module", Body),
    named("lexical_declaration", "const", Name::Holding(JS_FUNCTIONS)),
];
const TYPESCRIPT_WRAPPERS: &[&str] = &["export_statement", "expression_statement", "ambient_declaration"];

/// The syntax of a language.
pub(super) fn syntax(language: Language) -> Syntax {
    let none: &[&str] = &[];
    match language {
        Language::Bash => Syntax {
            grammar: || tree_sitter_bash::LANGUAGE.into(),
            items: const { &[item("function_definition", "function", Alone)] },
            wrappers: none,
            annotations: none,
        },
        Language::C => Syntax {
            grammar: || tree_sitter_c::LANGUAGE.into(),
            items: &C_ITEMS,
            wrappers: none,
            annotations: none,
        },
        Language::Cpp => Syntax {
            grammar: || tree_sitter_cpp::LANGUAGE.into(),
            items: &CPP_ITEMS,
            wrappers: &["template_declaration"],
            annotations: none,
        },
        Language::CSharp => Syntax {
            grammar: || tree_sitter_c_sharp::LANGUAGE.into(),
            items: const {
                &[
                    item("namespace_declaration", "namespace", Body),
                    item("class_declaration", "class", Body),
                    item("struct_declaration", "struct", Body),
                    item("record_declaration", "record", Body),
                    item("interface_declaration", "interface", Body),
                    item("enum_declaration", "enum", Alone),
                    item("delegate_declaration", "delegate", Alone),
                    item("method_declaration", "method", Alone),
                    item("constructor_declaration", "constructor", Alone),
                    item("property_declaration", "property", Alone),
                ]
            },
            wrappers: none,
            annotations: none,
        },
        Language::Elixir => Syntax {
            grammar: || tree_sitter_elixir::LANGUAGE.into(),
            items: const {
                &[Item { kind: "call", keyword: "", name: Name::Macro, members: Members::In("do_block") }]
            },
            wrappers: none,
            annotations: &["unary_operator"],
        },
        Language::Go => Syntax {
            grammar: || tree_sitter_go::LANGUAGE.into(),
            items: const {
                &[
                    item("function_declaration", "func", Alone),
                    item("method_declaration", "func", Alone),
                    named("type_declaration", "type", Name::In("type_spec")),
                ]
            },
            wrappers: none,
            annotations: none,
        },
        Language::Java => Syntax {
            grammar: || tree_sitter_java::LANGUAGE.into(),
            items: const {
                &[
                    item("class_declaration", "class", Body),
                    item("interface_declaration", "interface", Body),
                    item("enum_declaration", "enum", Body),
                    item("record_declaration", "record", Body),
                    item("annotation_type_declaration", "@interface", Alone),
                    item("method_declaration", "method", Alone),
                    item("constructor_declaration", "constructor", Alone),
                ]
            },
            wrappers: none,
            annotations: none,
        },
        Language::JavaScript => Syntax {
            grammar: || tree_sitter_javascript::LANGUAGE.into(),
            items: const {
                &[
                    item("function_declaration", "function", Alone),
                    item("generator_function_declaration", "function", Alone),
                    item("class_declaration", "class", Body),
                    item("method_definition", "method", Alone),
                    named("lexical_declaration", "const", Name::Holding(JS_FUNCTIONS)),
                ]
            },
            wrappers: &["export_statement"],
            annotations: none,
        },
        Language::Kotlin => Syntax {
            grammar: || tree_sitter_kotlin_ng::LANGUAGE.into(),
            items: const {
                &[
                    Item { members: Members::In("class_body"), ..item("class_declaration", "class", Alone) },
                    Item {
                        members: Members::In("class_body"),
                        ..item("object_declaration", "object", Alone)
                    },
                    Item {
                        members: Members::In("class_body"),
                        ..item("companion_object", "companion", Alone)
                    },
                    item("function_declaration", "fun", Alone),
                    named("type_alias", "typealias", Name::In("identifier")),
                ]
            },
            wrappers: none,
            annotations: none,
        },
        Language::Lua => Syntax {
            grammar: || tree_sitter_lua::LANGUAGE.into(),
            items: const { &[item("function_declaration", "function", Alone)] },
            wrappers: none,
            annotations: none,
        },
        Language::Php => Syntax {
            grammar: || tree_sitter_php::LANGUAGE_PHP.into(),
            items: const {
                &[
                    item("namespace_definition", "namespace", Body),
                    item("class_declaration", "class", Body),
                    item("interface_declaration", "interface", Body),
                    item("trait_declaration", "trait", Body),
                    item("enum_declaration", "enum", Body),
                    item("function_definition", "function", Alone),
                    item("method_declaration", "method", Alone),
                ]
            },
            wrappers: none,
            annotations: none,
        },
        Language::Python => Syntax {
            grammar: || tree_sitter_python::LANGUAGE.into(),
            items: const { &[item("function_definition", "def", Alone), item("class_definition", "class", Body)] },
            wrappers: &["decorated_definition"],
            annotations: none,
        },
        Language::Ruby => Syntax {
            grammar: || tree_sitter_ruby::LANGUAGE.into(),
            items: const {
                &[
                    item("module", "module", Body),
                    item("class", "class", Body),
                    item("method", "def", Alone),
                    item("singleton_method", "def self.", Alone),
                ]
            },
            wrappers: none,
            annotations: none,
        },
        Language::Rust => Syntax {
            grammar: || tree_sitter_rust::LANGUAGE.into(),
            items: const {
                &[
                    item("function_item", "fn", Alone),
                    item("function_signature_item", "fn", Alone),
                    item("struct_item", "struct", Alone),
                    item("enum_item", "enum", Alone),
                    item("union_item", "union", Alone),
                    item("trait_item", "trait", Body),
                    item("mod_item", "mod", Body),
                    item("macro_definition", "macro", Alone),
                    Item { members: Body, ..named("impl_item", "", Name::Head) },
                ]
            },
            wrappers: none,
            annotations: &["attribute_item"],
        },
        Language::Scala => Syntax {
            grammar: || tree_sitter_scala::LANGUAGE.into(),
            items: const {
                &[
                    item("class_definition", "class", Body),
                    item("object_definition", "object", Body),
                    item("trait_definition", "trait", Body),
                    item("enum_definition", "enum", Body),
                    item("function_definition", "def", Alone),
                    item("function_declaration", "def", Alone),
                    item("type_definition", "type", Alone),
                ]
            },
            wrappers: none,
            annotations: none,
        },
        Language::Tsx => Syntax {
            grammar: || tree_sitter_typescript::LANGUAGE_TSX.into(),
            items: &TYPESCRIPT_ITEMS,
            wrappers: TYPESCRIPT_WRAPPERS,
            annotations: none,
        },
        Language::TypeScript => Syntax {
            grammar: || tree_sitter_typescript::LANGUAGE_TYPESCRIPT.into(),
            items: &TYPESCRIPT_ITEMS,
            wrappers: TYPESCRIPT_WRAPPERS,
            annotations: none,
        },
        Language::Zig => Syntax {
            grammar: || tree_sitter_zig::LANGUAGE.into(),
            items: const {
                &[
                    item("function_declaration", "fn", Alone),
                    Item {
                        members: Members::In("struct_declaration"),
                        ..named("variable_declaration", "const", Name::Holding(ZIG_TYPES))
                    },
                    named("test_declaration", "", Name::Head),
                ]
            },
            wrappers: none,
            annotations: none,
        },
    }
}
