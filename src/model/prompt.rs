//! The chat template, rendered as three parts: prefix, chunk, query.
//!
//! The prefix (the template's opening, the system prompt, the start of the first user turn) is encoded once and every
//! chunk is encoded after it; the query (the question and the template's closing) comes last. The turns before are part
//! of the query: the documents stand in the user's first turn, before its question, then come the answer to that, the
//! next question, and so on, as the template writes a conversation.

use minijinja::{Environment, Error, ErrorKind, Value, context, syntax::SyntaxConfig};

use super::{ModelError, tokenizer::Tokenizer};

/// Stands for a text while the template is rendered. A template may trim around it but has no reason to change it.
const SLOT: &str = "gibbon-0f4c2b7e9d61-slot";

/// Most earlier turns that are looked at, so that a chat of thousands costs no more.
const MOST_TURNS: usize = 32;
/// A question or answer of an earlier turn is cut after so many tokens.
const MOST_TOKENS_OF_A_TEXT: usize = 384;

/// A model's way of writing a conversation, split around the documents.
pub struct Prompt {
    template: Option<Template>,
    /// Opens the prefix where there is no template.
    bos: String,
    opening: String,
    prefix: Vec<u32>,
    closing: Vec<u32>,
}

/// An earlier question and its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exchange<'a> {
    pub question: &'a str,
    pub answer: &'a str,
}

/// A chat template with what it is rendered with.
struct Template {
    source: String,
    bos: String,
    eos: String,
    system: String,
    /// It refuses a system turn, so that the system prompt opens the user's first one.
    folds_system: bool,
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
        let (template, opening, closing) = match template {
            Some(source) => {
                let (template, opening, closing) = Template::new(source, bos, eos, system)?;
                (Some(template), opening, closing)
            }
            None => (None, format!("{bos}{system}\n\n"), "\nAnswer:".to_owned()),
        };
        Ok(Self {
            template,
            bos: bos.to_owned(),
            prefix: tokenizer.encode_template(&opening)?,
            closing: tokenizer.encode_template(&closing)?,
            opening,
        })
    }

    /// The same way of writing with another system prompt.
    pub fn with_system(&self, system: &str, tokenizer: &Tokenizer) -> Result<Self, ModelError> {
        match &self.template {
            Some(Template { source, bos, eos, .. }) => Self::new(Some(source), bos, eos, system, tokenizer),
            None => Self::new(None, &self.bos, "", system, tokenizer),
        }
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
        let mut tokens = tokenizer.encode_text(&asked(question))?;
        tokens.extend(&self.closing);
        Ok(tokens)
    }

    /// Tokens of the question after earlier turns, oldest first. The latest of them are kept that take at most `room`
    /// tokens beside the question, each text cut to its beginning where it is long. Texts never become special tokens.
    ///
    /// With a template, prefix and query together are the tokens of the whole conversation as the template renders it
    /// at once, with the chunks in between; only where a chunk meets the question may the tokenizer, seeing both, have
    /// joined white space that here belongs to the chunk. A template that refuses a second turn, or writes another
    /// prefix for it, gets the earlier turns as text before the question.
    pub fn query_after(
        &self,
        history: &[Exchange],
        question: &str,
        room: usize,
        tokenizer: &Tokenizer,
    ) -> Result<Vec<u32>, ModelError> {
        let plain = self.query(question, tokenizer)?;
        let latest = &history[history.len().saturating_sub(MOST_TURNS)..];
        let turns: Vec<[Vec<u32>; 2]> =
            latest.iter().map(|turn| self.turn(turn, tokenizer)).collect::<Result<_, _>>()?;
        for first in 0..turns.len() {
            let texts: usize = turns[first..].iter().flatten().map(Vec::len).sum();
            if texts > room {
                continue;
            }
            let query = self.conversation(&turns[first..], question, tokenizer)?;
            if query.len() <= plain.len() + room {
                return Ok(query);
            }
        }
        Ok(plain)
    }

    /// Tokens of an earlier question and its answer.
    fn turn(&self, turn: &Exchange, tokenizer: &Tokenizer) -> Result<[Vec<u32>; 2], ModelError> {
        // After `Answer:` a text begins with the space that separates words.
        let space = if self.template.is_some() { "" } else { " " };
        let mut tokens = [
            tokenizer.encode_text(&asked(turn.question))?,
            tokenizer.encode_text(&format!("{space}{}", turn.answer.trim()))?,
        ];
        tokens.iter_mut().for_each(|tokens| tokens.truncate(MOST_TOKENS_OF_A_TEXT));
        Ok(tokens)
    }

    fn conversation(
        &self,
        turns: &[[Vec<u32>; 2]],
        question: &str,
        tokenizer: &Tokenizer,
    ) -> Result<Vec<u32>, ModelError> {
        let between = match &self.template {
            None => Some(plain_between(turns.len())),
            Some(template) => template.between(turns.len(), &self.opening),
        };
        let question = tokenizer.encode_text(&asked(question))?;
        let texts = turns.iter().flatten().chain([&question]);
        let mut tokens = Vec::new();
        match between {
            Some(between) => {
                for (text, after) in texts.zip(between) {
                    tokens.extend(text);
                    tokens.extend(tokenizer.encode_template(&after)?);
                }
            }
            None => {
                for [question, answer] in turns {
                    tokens.extend(tokenizer.encode_text("Earlier:\n")?);
                    tokens.extend(question);
                    tokens.extend(tokenizer.encode_text("\nAnswer: ")?);
                    tokens.extend(answer);
                    tokens.extend(tokenizer.encode_text("\n\n")?);
                }
                tokens.extend(&question);
                tokens.extend(&self.closing);
            }
        }
        Ok(tokens)
    }
}

/// A question as the model reads it.
fn asked(question: &str) -> String {
    format!("Question: {}", question.trim())
}

/// What plain text writes after each question and answer of so many turns, and after the question that follows them.
fn plain_between(turns: usize) -> Vec<String> {
    let turn = ["\nAnswer:".to_owned(), "\n\n".to_owned()];
    let mut between: Vec<String> = turn.iter().cycle().take(2 * turns).cloned().collect();
    between.push(turn[0].clone());
    between
}

impl Template {
    /// The template, and what it writes before the slot in a user's turn and after it.
    fn new(source: &str, bos: &str, eos: &str, system: &str) -> Result<(Self, String, String), ModelError> {
        let mut template = Self {
            source: source.to_owned(),
            bos: bos.to_owned(),
            eos: eos.to_owned(),
            system: system.to_owned(),
            folds_system: false,
        };
        let with_system = template.render(0).ok().filter(|text| text.contains(system.trim()));
        let rendered = match with_system {
            Some(rendered) => rendered,
            // Some templates refuse a system turn; then its text opens the user's.
            None => {
                template.folds_system = true;
                template.render(0).map_err(|e| ModelError::Template(format!("{e:#}")))?
            }
        };
        match <[String; 2]>::try_from(split(&rendered, 0).unwrap_or_default()) {
            Ok([opening, closing]) => Ok((template, opening, closing)),
            Err(_) => Err(ModelError::Template("it does not repeat the user's text exactly once".into())),
        }
    }

    /// What it writes after each text of a conversation of so many earlier turns and a question; `None` where it
    /// refuses them, changes a text, or does not begin with `opening`.
    fn between(&self, turns: usize, opening: &str) -> Option<Vec<String>> {
        let mut parts = split(&self.render(turns).ok()?, turns)?;
        let begins_alike = parts.first().is_some_and(|first| first == opening);
        begins_alike.then(|| parts.split_off(1))
    }

    /// Renders so many turns and a question, a slot in place of each text.
    fn render(&self, turns: usize) -> Result<String, Error> {
        let mut messages = Vec::new();
        let mut first = slot(0);
        match self.folds_system {
            true => first = format!("{}\n\n{first}", self.system),
            false => messages.push(Message { role: "system", content: self.system.clone() }),
        }
        messages.push(Message { role: "user", content: first });
        for number in 1..=2 * turns {
            let role = if number % 2 == 1 { "assistant" } else { "user" };
            messages.push(Message { role, content: slot(number) });
        }
        render(&self.source, &self.bos, &self.eos, &messages)
    }
}

fn slot(number: usize) -> String {
    format!("{SLOT}-{number:03}")
}

/// `rendered` around its slots; `None` unless each is there once, in order.
fn split(rendered: &str, turns: usize) -> Option<Vec<String>> {
    let mut parts = Vec::new();
    let mut rest = rendered;
    for number in 0..=2 * turns {
        let (before, after) = rest.split_once(&slot(number))?;
        parts.push(before.to_owned());
        rest = after;
    }
    parts.push(rest.to_owned());
    parts.iter().all(|part| !part.contains(SLOT)).then_some(parts)
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

    fn split_at_slot(
        template: &str,
        bos: &str,
        eos: &str,
        system: &str,
    ) -> Result<(String, String), ModelError> {
        Template::new(template, bos, eos, system).map(|(_, opening, closing)| (opening, closing))
    }

    fn between(source: &str, turns: usize) -> Option<Vec<String>> {
        let (template, opening, _) = Template::new(source, "<s>", "</s>", "Be brief.").unwrap();
        template.between(turns, &opening)
    }

    #[test]
    fn earlier_turns_stand_between_the_templates_own_markers() {
        let turn = "<|im_end|>\n<|im_start|>assistant\n";
        let next = "<|im_end|>\n<|im_start|>user\n";
        assert_eq!(between(CHATML, 2).unwrap(), [turn, next, turn, next, turn]);
        let mistral = "{{ bos_token }}{% for m in messages %}{% if m['role'] == 'system' %}{{ raise_exception('no system') }}{% elif m['role'] == 'user' %}{{ '[INST] ' + m['content'] + ' [/INST]' }}{% else %}{{ ' ' + m['content'] + eos_token }}{% endif %}{% endfor %}";
        assert_eq!(between(mistral, 1).unwrap(), [" [/INST] ", "</s>[INST] ", " [/INST]"]);
        assert_eq!(plain_between(1), ["\nAnswer:", "\n\n", "\nAnswer:"]);
    }

    #[test]
    fn a_template_that_cannot_write_a_conversation_is_not_made_to() {
        let refuses = "{% if messages|length > 2 %}{{ raise_exception('one turn') }}{% endif %}{{ messages[0].content }}{{ messages[1].content }}";
        let drops = "{{ messages[0].content }}{{ messages[1].content }}";
        let counts = "{{ messages|length }}{% for m in messages %}{{ m.content }}{% endfor %}";
        let shouts = "{% for m in messages %}{{ m.content|upper if m.role == 'assistant' else m.content }}{% endfor %}";
        for template in [refuses, drops, counts, shouts] {
            assert_eq!(between(template, 1), None, "{template}");
        }
    }

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
