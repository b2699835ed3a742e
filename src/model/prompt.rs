//! The chat template, rendered as three parts: prefix, chunk, query.
//!
//! The prefix (the template's opening, the system prompt, the start of the user's turn) is encoded once and every
//! chunk is encoded after it; the query (the question and the template's closing) comes last.

use minijinja::{Environment, Error, ErrorKind, Value, context, syntax::SyntaxConfig};

use super::{ModelError, tokenizer::Tokenizer};

/// Stands for the chunks and the question while the template is rendered. A template may trim around it but has no
/// reason to change it.
const SLOT: &str = "gibbon-0f4c2b7e9d61-slot";

/// A model's way of writing a conversation, split around the documents.
pub struct Prompt {
    prefix: Vec<u32>,
    closing: Vec<u32>,
}

struct Message<'a> {
    role: &'a str,
    content: String,
}

impl Message<'_> {
    fn to_value(&self) -> Value {
        context! { role => self.role, content => self.content.as_str() }
    }
}

impl Prompt {
    /// Renders `template` (Jinja, as models publish it) around a slot. Without a template the parts are plain text.
    ///
    /// # Errors
    /// [`ModelError::Template`] when the template cannot be rendered with or without a system turn.
    pub fn new(
        template: Option<&str>,
        bos: &str,
        eos: &str,
        system: &str,
        tokenizer: &Tokenizer,
    ) -> Result<Self, ModelError> {
        let (opening, closing) = match template {
            Some(template) => split_at_slot(template, bos, eos, system)?,
            None => (format!("{bos}{system}\n\n"), "\nAnswer:".to_owned()),
        };
        Ok(Self {
            prefix: tokenizer.encode_template(&opening)?,
            closing: tokenizer.encode_template(&closing)?,
        })
    }

    /// Tokens of the prefix.
    pub fn prefix(&self) -> &[u32] {
        &self.prefix
    }

    /// Tokens of a chunk with this text, label included.
    pub fn chunk(&self, text: &str, tokenizer: &Tokenizer) -> Result<Vec<u32>, ModelError> {
        tokenizer.encode_text(&format!("{}\n\n", text.trim_end()))
    }

    /// Tokens of the question and the template's closing.
    pub fn query(&self, question: &str, tokenizer: &Tokenizer) -> Result<Vec<u32>, ModelError> {
        let mut tokens = tokenizer.encode_text(&format!("Question: {}", question.trim()))?;
        tokens.extend(&self.closing);
        Ok(tokens)
    }
}

/// What the template writes before the slot and after it.
fn split_at_slot(template: &str, bos: &str, eos: &str, system: &str) -> Result<(String, String), ModelError> {
    let with_system =
        [Message { role: "system", content: system.into() }, Message { role: "user", content: SLOT.into() }];
    // Some templates refuse a system turn; then its text opens the user's.
    let without = [Message { role: "user", content: format!("{system}\n\n{SLOT}") }];
    let rendered = render(template, bos, eos, &with_system)
        .ok()
        .filter(|text| text.contains(system.trim()))
        .map_or_else(|| render(template, bos, eos, &without), Ok)
        .map_err(|e| ModelError::Template(format!("{e:#}")))?;
    let mut parts = rendered.split(SLOT);
    match (parts.next(), parts.next(), parts.next()) {
        (Some(opening), Some(closing), None) => Ok((opening.to_owned(), closing.to_owned())),
        _ => Err(ModelError::Template("it does not repeat the user's text exactly once".into())),
    }
}

fn render(template: &str, bos: &str, eos: &str, messages: &[Message]) -> Result<String, Error> {
    let mut environment = Environment::new();
    // As transformers renders templates.
    environment.set_syntax(SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build()?);
    environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
    // A template is data from outside: it gets a bounded amount of work and nothing to call but this.
    environment.set_fuel(Some(1_000_000));
    environment.add_function("raise_exception", |message: String| -> Result<String, Error> {
        Err(Error::new(ErrorKind::InvalidOperation, message))
    });
    // Templates that print the date would make another prefix, and with it another cache, every day.
    environment.add_function("strftime_now", |_format: String| String::new());
    environment.template_from_str(template)?.render(context! {
        messages => messages.iter().map(Message::to_value).collect::<Vec<_>>(),
        bos_token => bos,
        eos_token => eos,
        add_generation_prompt => true,
        tools => (),
        enable_thinking => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHATML: &str = "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>' + '\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}";

    #[test]
    fn a_template_is_split_around_the_slot() {
        let (opening, closing) = split_at_slot(CHATML, "", "", "Be brief.").unwrap();
        assert_eq!(opening, "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\n");
        assert_eq!(closing, "<|im_end|>\n<|im_start|>assistant\n");
    }

    #[test]
    fn a_template_without_a_system_turn_gets_it_in_the_users() {
        let template = "{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system') }}{% endif %}{{ bos_token }}[INST] {{ messages[0]['content'].strip() }} [/INST]";
        let (opening, closing) = split_at_slot(template, "<s>", "</s>", "Be brief.").unwrap();
        assert_eq!(opening, "<s>[INST] Be brief.\n\n");
        assert_eq!(closing, " [/INST]");
    }

    #[test]
    fn a_template_that_drops_or_repeats_the_text_is_refused() {
        for template in
            ["nothing", "{{ messages[0].content }}{{ messages[-1].content }}{{ messages[-1].content }}"]
        {
            assert!(matches!(split_at_slot(template, "", "", "s"), Err(ModelError::Template(_))));
        }
    }

    #[test]
    fn a_template_cannot_run_for_ever() {
        let template = "{% for a in range(100000) %}{% for b in range(100000) %}x{% endfor %}{% endfor %}";
        assert!(matches!(split_at_slot(template, "", "", "s"), Err(ModelError::Template(_))));
    }
}
