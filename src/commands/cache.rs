//! `cache`: the KV cache on disk.

use serde_json::json;

use super::{
    Console, Error, Exit, Stream, Style, json,
    text::{age, bytes, count, now, shortened, table},
};
use crate::{
    config::Config,
    engine::{
        admin::{self, CacheGroup, CacheListing, CacheVerification, PruneReport, PruneScope},
        visible,
    },
};

pub fn ls(config: &Config, as_json: bool, console: &mut Console) -> Result<Exit, Error> {
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
        let text = groups(&listing, &directory, now(), console.style(Stream::Output));
        console.output(&text)?;
    }
    Ok(Exit::Done)
}

fn groups(listing: &CacheListing, directory: &str, now: i64, style: Style) -> String {
    let total = format!("{} of {} in {directory}\n", bytes(listing.total_bytes), bytes(listing.budget_bytes));
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
    let rows: Vec<Vec<String>> = listing.groups.iter().map(row).collect();
    let header = ["", "cache", "model", "segments", "tokens", "size", "last used"];
    table(&header, "<<<>>><", &rows, style) + &total
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
        insta::assert_snapshot!(groups(&listing, "data/kv/v2", now, Style::PLAIN));
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
