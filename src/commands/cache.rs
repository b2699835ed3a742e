//! `cache`: the KV cache on disk.

use serde_json::{Value, json};

use super::{
    Console, Error, Exit, Stream, Style, json,
    text::{age, bytes, count, now, shortened, table},
};
use crate::{
    config::Config,
    engine::{
        admin::{
            self, Amount, CacheGroup, CacheListing, CacheShare, CacheVerification, Collected,
            CollectionCache, FileCache, PruneReport, PruneScope,
        },
        visible,
    },
};

/// The caches by model and prompt, at most so many lines of them.
pub fn ls(config: &Config, lines: usize, as_json: bool, console: &mut Console) -> Result<Exit, Error> {
    let listing = admin::cache_list(config)?;
    if as_json {
        json::print(
            console,
            "cache",
            json!({
                "directory": json::path(&listing.directory),
                "budget_bytes": listing.budget_bytes,
                "total_bytes": listing.total_bytes,
                "groups": listing.groups,
            }),
        )?;
    } else {
        let directory = console.path(&listing.directory);
        let text = groups(&listing, &directory, lines, now(), console.style(Stream::Output));
        console.output(&text)?;
    }
    Ok(Exit::Done)
}

fn groups(listing: &CacheListing, directory: &str, lines: usize, now: i64, style: Style) -> String {
    let total = total(listing, directory);
    if listing.groups.is_empty() {
        return total;
    }
    let row = |group: &CacheGroup| {
        vec![
            if group.current { "*" } else { "" }.to_owned(),
            shortened(group.fingerprint.get(..12).unwrap_or(&group.fingerprint), 12),
            group.model.as_deref().map_or("unknown".to_owned(), |model| shortened(&visible(model), 40)),
            group.segments.to_string(),
            group.tokens.to_string(),
            bytes(group.bytes),
            age(group.last_used, now),
        ]
    };
    let rows: Vec<Vec<String>> = listing.groups.iter().take(lines).map(row).collect();
    let header = ["", "cache", "model", "segments", "tokens", "size", "last used"];
    table(&header, "<<<>>><", &rows, style) + &more(listing.groups.len(), lines) + &total
}

fn total(listing: &CacheListing, directory: &str) -> String {
    format!("{} of {} in {directory}\n", bytes(listing.total_bytes), bytes(listing.budget_bytes))
}

/// What is said of lines that are not shown.
fn more(all: usize, shown: usize) -> String {
    match all.saturating_sub(shown) {
        0 => String::new(),
        left => format!("and {left} more; -n 0 shows all\n"),
    }
}

/// What is cached of each collection.
pub fn ls_by_collection(
    config: &Config,
    lines: usize,
    as_json: bool,
    console: &mut Console,
) -> Result<Exit, Error> {
    let rows = admin::cache_by_collection(config)?;
    if as_json {
        return print_shares(config, "collections", json!(rows), console);
    }
    let row = |row: &CollectionCache| (row.collection.clone(), row.share);
    list(config, "collection", &rows.iter().map(row).collect::<Vec<_>>(), lines, console)
}

/// What is cached of each indexed file.
pub fn ls_by_file(
    config: &Config,
    lines: usize,
    as_json: bool,
    console: &mut Console,
) -> Result<Exit, Error> {
    let rows = admin::cache_by_file(config)?;
    if as_json {
        let value = |row: &FileCache| {
            let mut value = json!(row.share);
            value["path"] = json!(json::path(&row.path));
            value
        };
        return print_shares(config, "files", rows.iter().map(value).collect(), console);
    }
    let rows: Vec<_> = rows.iter().map(|row| (console.path(&row.path), row.share)).collect();
    list(config, "path", &rows, lines, console)
}

/// Prints what is cached of several things as JSON; `what` is what they are called.
fn print_shares(config: &Config, what: &str, rows: Value, console: &mut Console) -> Result<Exit, Error> {
    let listing = admin::cache_list(config)?;
    let mut body = json!({
        "directory": json::path(&listing.directory),
        "budget_bytes": listing.budget_bytes,
        "total_bytes": listing.total_bytes,
    });
    body[what] = rows;
    json::print(console, &format!("cache_{what}"), body)?;
    Ok(Exit::Done)
}

/// Prints what is cached of several things; `what` is what one of them is called.
fn list(
    config: &Config,
    what: &str,
    rows: &[(String, CacheShare)],
    lines: usize,
    console: &mut Console,
) -> Result<Exit, Error> {
    let listing = admin::cache_list(config)?;
    let directory = console.path(&listing.directory);
    let text = shares(what, rows, lines, now(), console.style(Stream::Output));
    console.output(&(text + &total(&listing, &directory)))?;
    Ok(Exit::Done)
}

fn shares(what: &str, rows: &[(String, CacheShare)], lines: usize, now: i64, style: Style) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let row = |(name, share): &(String, CacheShare)| {
        vec![
            name.clone(),
            format!("{} of {}", share.cached_chunks, share.chunks),
            share.tokens.to_string(),
            bytes(share.bytes),
            share.last_used.map_or("never".to_owned(), |used| age(used, now)),
        ]
    };
    let shown: Vec<Vec<String>> = rows.iter().take(lines).map(row).collect();
    let header = [what, "cached chunks", "tokens", "size", "last used"];
    table(&header, "<>>><", &shown, style) + &more(rows.len(), lines)
}

/// Brings the cache within its budget and removes what nobody can use.
pub fn gc(
    config: &Config,
    all_models: bool,
    dry_run: bool,
    as_json: bool,
    console: &mut Console,
) -> Result<Exit, Error> {
    let done = admin::cache_collect(config, all_models, dry_run)?;
    if as_json {
        let mut body = json!(done);
        body["dry_run"] = json!(dry_run);
        body["budget_bytes"] = json!(config.store.disk_bytes);
        body["removed"] = json!(done.removed());
        json::print(console, "cache_gc", body)?;
    } else {
        console.output(&collected(&done, config.store.disk_bytes, dry_run))?;
    }
    Ok(Exit::Done)
}

fn collected(done: &Collected, budget: u64, dry_run: bool) -> String {
    let amount = |amount: Amount| format!("{} ({})", count(amount.files as u64, "file"), bytes(amount.bytes));
    let (would, keep) = if dry_run { ("would remove", "keep") } else { ("removed", "kept") };
    let mut text =
        format!("{would} {}, {keep} {} of {}\n", amount(done.removed()), amount(done.kept), bytes(budget));
    for (part, why) in [
        (done.not_indexed, "of texts that are not indexed"),
        (done.other_models, "of other models and prompts"),
        (done.over_budget, "beyond the budget, used longest ago"),
        (done.outdated, "of an earlier format"),
        (done.unfinished, "unfinished"),
    ] {
        if part.files > 0 {
            text += &format!("  {} {why}\n", amount(part));
        }
    }
    text
}

pub fn verify(config: &Config, as_json: bool, console: &mut Console) -> Result<Exit, Error> {
    let result =
        admin::cache_verify(config, &mut |done, total| console.progress("checking", done, total, "files"));
    console.end_progress();
    let found = result?;
    if as_json {
        let damaged: Vec<String> = found.damaged.iter().map(|path| json::path(path)).collect();
        let unreadable: Vec<String> = found.unreadable.iter().map(|path| json::path(path)).collect();
        json::print(
            console,
            "cache_verification",
            json!({
                "files": found.files,
                "bytes": found.bytes,
                "sound": found.sound,
                "damaged": damaged,
                "unreadable": unreadable,
                "adopted": found.adopted,
                "dropped": found.dropped,
                "unfinished": found.unfinished,
                "outdated": found.outdated.files,
            }),
        )?;
    } else {
        let text = verification(&found, console);
        console.output(&text)?;
    }
    Ok(if found.damaged.is_empty() && found.unreadable.is_empty() { Exit::Done } else { Exit::Failed })
}

fn verification(found: &CacheVerification, console: &Console) -> String {
    let mut text = format!(
        "{} checked ({}), {} sound\n",
        count(found.files as u64, "file"),
        bytes(found.bytes),
        found.sound
    );
    for path in &found.damaged {
        text += &format!("damaged, removed: {}\n", console.path(path));
    }
    for path in &found.unreadable {
        text += &format!("not readable, left alone: {}\n", console.path(path));
    }
    let mended = [
        (found.adopted, "without a record, adopted"),
        (found.dropped, "in the catalogue but not on disk, record dropped"),
        (found.unfinished, "unfinished, removed"),
        (found.outdated.files, "of an earlier format, removed"),
    ];
    for (number, what) in mended.iter().filter(|(number, _)| *number > 0) {
        text += &format!("{} {what}\n", count(*number as u64, "file"));
    }
    if !found.damaged.is_empty() {
        text += "What was removed is encoded again when it is next needed.\n";
    }
    text
}

pub fn prune(config: &Config, all: bool, as_json: bool, console: &mut Console) -> Result<Exit, Error> {
    let scope = if all { PruneScope::All } else { PruneScope::Unused };
    let report = admin::cache_prune(config, scope)?;
    if as_json {
        let PruneReport { removed_files, removed_bytes, kept_files, kept_bytes } = report;
        json::print(
            console,
            "cache_prune",
            json!({
                "removed_files": removed_files,
                "removed_bytes": removed_bytes,
                "kept_files": kept_files,
                "kept_bytes": kept_bytes,
            }),
        )?;
    } else {
        console.output(&format!(
            "removed {} ({}), kept {} ({})\n",
            count(report.removed_files as u64, "file"),
            bytes(report.removed_bytes),
            count(report.kept_files as u64, "file"),
            bytes(report.kept_bytes)
        ))?;
    }
    Ok(Exit::Done)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{commands::Verbosity, engine::admin::Outdated};

    #[test]
    fn caches_are_listed_by_model() {
        let now = 1_700_000_000;
        let group = |name: &str, model: Option<&str>, current| CacheGroup {
            fingerprint: name.repeat(16),
            model: model.map(str::to_owned),
            current,
            segments: 42,
            tokens: 9910,
            bytes: 229_638_144,
            last_used: now - 7300,
        };
        let listing = CacheListing {
            directory: "/home/ada/data/kv/v2".into(),
            budget_bytes: 20 << 30,
            total_bytes: 459_276_288,
            groups: vec![group("a1b2", Some("SmolLM2-135M-Instruct"), true), group("ff00", None, false)],
        };
        insta::assert_snapshot!(groups(&listing, "data/kv/v2", 20, now, Style::PLAIN));
    }

    #[test]
    fn what_is_cached_of_files_is_listed_up_to_a_number_of_lines() {
        let now = 1_700_000_000;
        let share = |cached_chunks, bytes, ago: Option<i64>| CacheShare {
            chunks: 9,
            cached_chunks,
            tokens: 2100,
            bytes,
            last_used: ago.map(|ago| now - ago),
        };
        let rows = [
            ("notes/dome.md".to_owned(), share(9, 52_428_800, Some(7300))),
            ("notes/mirror.md".to_owned(), share(0, 0, None)),
            ("notes/wind.md".to_owned(), share(0, 0, None)),
        ];
        let text = shares("path", &rows, 2, now, Style::PLAIN);
        assert!(text.ends_with("and 1 more; -n 0 shows all\n"), "{text}");
        insta::assert_snapshot!(text);
        assert!(!shares("path", &rows, 3, now, Style::PLAIN).contains("more"));
    }

    #[test]
    fn what_goes_is_told_by_its_reason() {
        let amount = |files| Amount { files, bytes: files as u64 * 1_048_576 };
        let done = Collected {
            not_indexed: amount(2),
            over_budget: amount(10),
            kept: amount(30),
            ..Collected::default()
        };
        let text = collected(&done, 20 << 30, true);
        assert_eq!(
            text,
            "would remove 12 files (12.0 MiB), keep 30 files (30.0 MiB) of 20.0 GiB\n  \
             2 files (2.0 MiB) of texts that are not indexed\n  \
             10 files (10.0 MiB) beyond the budget, used longest ago\n"
        );
        assert!(collected(&Collected::default(), 0, false).starts_with("removed 0 files (0 B), kept"));
    }

    #[test]
    fn damage_is_told_with_what_becomes_of_it() {
        let (console, _, _) = Console::captured(Verbosity::Normal);
        let found = CacheVerification {
            files: 42,
            bytes: 229_638_144,
            sound: 40,
            damaged: vec!["/home/ada/kv/a.safetensors".into(), "/home/ada/kv/b.safetensors".into()],
            unreadable: Vec::new(),
            adopted: 0,
            dropped: 1,
            unfinished: 3,
            outdated: Outdated { files: 2, bytes: 8192 },
        };
        insta::assert_snapshot!(verification(&found, &console));
    }
}
