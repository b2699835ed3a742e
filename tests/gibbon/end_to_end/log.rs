//! The log file: what happened and how long it took, and no text of a document or a question.

use std::fs;

use super::{Home, QUESTION};

#[test]
fn the_log_says_what_happened_and_quotes_no_text() {
    let home = Home::with_documents();
    home.write("secret.md", "The xylophone is hidden under the zelkova tree, says the magenta notebook.\n");
    home.json(&["index", home.documents_argument()]);
    home.json(&["ask", QUESTION]);
    home.json(&["ask", "Where is the xylophone hidden?"]);
    home.run(&["ask", "Quixotic?"]).assert_fails(3, &[]);

    let log: String = fs::read_dir(home.path().join("state"))
        .unwrap()
        .map(|entry| fs::read_to_string(entry.unwrap().path()).unwrap())
        .collect();
    for line in ["started", "model loaded", "indexed", "answered", "a request failed"] {
        assert!(log.contains(line), "{line} is not in the log:\n{log}");
    }
    assert_eq!(log.matches("answered").count(), 2, "{log}");
    let answered = log.lines().find(|line| line.contains("answered")).unwrap();
    for field in ["strategy=\"ape\"", "first_token_seconds=", "tokens_per_second=", "from_disk="] {
        assert!(answered.contains(field), "{field} is not in {answered}");
    }
    for word in ["xylophone", "zelkova", "safety valve", "Quixotic"] {
        assert!(!log.contains(word), "{word} is in the log:\n{log}");
    }
}
