//! Records of the KV cache's files: what the byte budget is counted from, and who was used last.
//!
//! Several processes may share one cache. Each sums what the records say inside its own write transaction, never
//! what it remembers, so that together they keep to one budget.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rusqlite::{Connection, OptionalExtension, Row, TransactionBehavior, params};

use super::{Catalogue, Result};

/// How long noting the uses of cache files waits for another process that is writing.
const PATIENCE_WHILE_ANSWERING: Duration = Duration::from_millis(20);

/// One cache file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheRecord {
    /// Model and prefix, in hexadecimal.
    pub fingerprint: String,
    /// A chunk's id in hexadecimal, or `prefix`.
    pub segment: String,
    pub tokens: u64,
    /// Allocated on disk.
    pub bytes: u64,
    /// Milliseconds since the Unix epoch. Strictly increasing over uses, even when the clock is set back: what
    /// counts as used just now gets its time from the catalogue, whatever is given here.
    pub last_used: i64,
}

/// What a load used, or found not to be there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CacheUses {
    pub fingerprint: String,
    /// Read from files.
    pub read: Vec<CacheRecord>,
    /// Segments found in memory. Those that have no record stay without.
    pub touched: Vec<String>,
    /// Segments whose file is not there or was of no use.
    pub gone: Vec<String>,
}

/// The cache files of one model and prefix, added up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheGroupRow {
    pub fingerprint: String,
    /// The model's name where it is known.
    pub model: Option<String>,
    pub segments: u64,
    pub tokens: u64,
    /// Allocated on disk.
    pub bytes: u64,
    /// Milliseconds since the Unix epoch.
    pub last_used: i64,
}

impl Catalogue {
    /// Makes room for a file of `wanted.bytes` within `budget` bytes and records it as if it were there already.
    ///
    /// Returns the records that had to go, least recently used first; their files are now the caller's to delete.
    /// `None` means that the file does not fit even so, and that nothing was changed. Records for which `keep` says
    /// true are left alone. A record of the same file is replaced, its bytes not counted.
    pub fn cache_reserve(
        &mut self,
        wanted: &CacheRecord,
        budget: u64,
        keep: &dyn Fn(&CacheRecord) -> bool,
    ) -> Result<Option<Vec<CacheRecord>>> {
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let Some(victims) = victims(&transaction, wanted, budget, keep)? else { return Ok(None) };
        for victim in &victims {
            forget(&transaction, &victim.fingerprint, &victim.segment)?;
        }
        let now = next_use(&transaction)?;
        record(&transaction, &CacheRecord { last_used: now, ..wanted.clone() })?;
        transaction.commit()?;
        Ok(Some(victims))
    }

    /// Records a file that has just been written, with the size that it came out with.
    pub fn cache_settle(&mut self, written: &CacheRecord) -> Result<()> {
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let last_used = next_use(&transaction)?;
        record(&transaction, &CacheRecord { last_used, ..written.clone() })?;
        transaction.commit()?;
        Ok(())
    }

    /// What [`cache_reserve`](Self::cache_reserve) would evict, without doing it.
    pub fn cache_victims(
        &self,
        wanted: &CacheRecord,
        budget: u64,
        keep: &dyn Fn(&CacheRecord) -> bool,
    ) -> Result<Option<Vec<CacheRecord>>> {
        victims(&self.connection, wanted, budget, keep)
    }

    /// Forgets the least recently used records until the rest fits `budget`, or until only those are left that
    /// `keep` holds on to. Their files are the caller's to delete.
    pub fn cache_trim(
        &mut self,
        budget: u64,
        keep: &dyn Fn(&CacheRecord) -> bool,
    ) -> Result<Vec<CacheRecord>> {
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let excess = total_bytes(&transaction)?.saturating_sub(budget);
        let (victims, _) = least_recently_used(&transaction, excess, keep)?;
        for victim in &victims {
            forget(&transaction, &victim.fingerprint, &victim.segment)?;
        }
        transaction.commit()?;
        Ok(victims)
    }

    /// Writes records in one transaction, replacing those of the same files.
    pub fn cache_record(&mut self, records: &[CacheRecord]) -> Result<()> {
        if records.is_empty() {
            return Ok(());
        }
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        for each in records {
            record(&transaction, each)?;
        }
        transaction.commit()?;
        Ok(())
    }

    /// Notes what was used and what turned out to be gone, in one transaction.
    ///
    /// An answer waits for this, so it soon gives up where another process is writing: what is lost is the order of
    /// a few uses, and a record that the next miss or start drops.
    pub fn cache_note_uses(&mut self, uses: &CacheUses) -> Result<()> {
        let gone = self.with_record(&uses.fingerprint, &uses.gone)?;
        if uses.read.is_empty() && uses.touched.is_empty() && gone.is_empty() {
            return Ok(());
        }
        let patience: i64 = self.connection.pragma_query_value(None, "busy_timeout", |row| row.get(0))?;
        self.connection.busy_timeout(PATIENCE_WHILE_ANSWERING)?;
        let noted = self.note_uses(uses, &gone);
        self.connection.busy_timeout(Duration::from_millis(patience.unsigned_abs()))?;
        Ok(noted?)
    }

    fn note_uses(&mut self, uses: &CacheUses, gone: &[&String]) -> rusqlite::Result<()> {
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let now = next_use(&transaction)?;
        for each in &uses.read {
            record(&transaction, &CacheRecord { last_used: now, ..each.clone() })?;
        }
        for segment in &uses.touched {
            transaction
                .prepare_cached("UPDATE cache SET last_used = ?3 WHERE fingerprint = ?1 AND segment = ?2")?
                .execute(params![uses.fingerprint, segment, now])?;
        }
        for segment in gone {
            forget(&transaction, &uses.fingerprint, segment)?;
        }
        transaction.commit()
    }

    /// Those of `segments` that have a record.
    fn with_record<'a>(&self, fingerprint: &str, segments: &'a [String]) -> Result<Vec<&'a String>> {
        let mut statement = self
            .connection
            .prepare_cached("SELECT EXISTS (SELECT 1 FROM cache WHERE fingerprint = ?1 AND segment = ?2)")?;
        let mut found = Vec::new();
        for segment in segments {
            if statement.query_row([fingerprint, segment], |row| row.get(0))? {
                found.push(segment);
            }
        }
        Ok(found)
    }

    /// Forgets files, given as (fingerprint, segment), in one transaction. Returns how many had a record.
    pub fn cache_forget(&mut self, files: &[(String, String)]) -> Result<usize> {
        if files.is_empty() {
            return Ok(0);
        }
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut forgotten = 0;
        for (fingerprint, segment) in files {
            forgotten += forget(&transaction, fingerprint, segment)?;
        }
        transaction.commit()?;
        Ok(forgotten)
    }

    /// Every record, in no particular order.
    pub fn cache_records(&self) -> Result<Vec<CacheRecord>> {
        let mut statement = self
            .connection
            .prepare_cached("SELECT fingerprint, segment, tokens, bytes, last_used FROM cache")?;
        let records = statement.query_map([], read_record)?.collect::<rusqlite::Result<_>>()?;
        Ok(records)
    }

    /// The segments that have a record under one fingerprint.
    pub fn cache_segments(&self, fingerprint: &str) -> Result<Vec<String>> {
        let mut statement =
            self.connection.prepare_cached("SELECT segment FROM cache WHERE fingerprint = ?1")?;
        let segments =
            statement.query_map([fingerprint], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
        Ok(segments)
    }

    /// Bytes of all cache files together, as allocated on disk.
    pub fn cache_bytes(&self) -> Result<u64> {
        Ok(total_bytes(&self.connection)?)
    }

    /// The cache by model and prefix, most recently used first.
    pub fn cache_groups(&self) -> Result<Vec<CacheGroupRow>> {
        let mut statement = self.connection.prepare_cached(
            "SELECT cache.fingerprint, model, count(*), sum(tokens), sum(bytes), max(last_used)
             FROM cache LEFT JOIN cache_group USING (fingerprint)
             GROUP BY cache.fingerprint ORDER BY max(last_used) DESC",
        )?;
        let groups = statement
            .query_map([], |row| {
                Ok(CacheGroupRow {
                    fingerprint: row.get(0)?,
                    model: row.get(1)?,
                    segments: unsigned(row, 2)?,
                    tokens: unsigned(row, 3)?,
                    bytes: unsigned(row, 4)?,
                    last_used: row.get(5)?,
                })
            })?
            .collect::<rusqlite::Result<_>>()?;
        Ok(groups)
    }

    /// Says which model a fingerprint stands for. Writes only where that is news.
    pub fn cache_name_group(&mut self, fingerprint: &str, model: &str) -> Result<()> {
        let known: Option<String> = self
            .connection
            .query_row("SELECT model FROM cache_group WHERE fingerprint = ?1", [fingerprint], |row| {
                row.get(0)
            })
            .optional()?;
        if known.as_deref() == Some(model) {
            return Ok(());
        }
        self.connection.execute(
            "INSERT INTO cache_group (fingerprint, model, created) VALUES (?1, ?2, ?3)
             ON CONFLICT (fingerprint) DO UPDATE SET model = excluded.model",
            params![fingerprint, model, milliseconds_now() / 1000],
        )?;
        Ok(())
    }

    /// Forgets the names of fingerprints that have no file, but for `current`.
    pub fn cache_forget_empty_groups(&mut self, current: &[String]) -> Result<()> {
        let empty: Vec<String> = self
            .connection
            .prepare_cached(
                "SELECT fingerprint FROM cache_group WHERE fingerprint NOT IN (SELECT fingerprint FROM cache)",
            )?
            .query_map([], |row| row.get(0))?
            .collect::<rusqlite::Result<_>>()?;
        for fingerprint in empty.iter().filter(|fingerprint| !current.contains(fingerprint)) {
            self.connection.execute("DELETE FROM cache_group WHERE fingerprint = ?1", [fingerprint])?;
        }
        Ok(())
    }
}

/// The records to evict so that `wanted` fits, or `None` where it cannot.
fn victims(
    connection: &Connection,
    wanted: &CacheRecord,
    budget: u64,
    keep: &dyn Fn(&CacheRecord) -> bool,
) -> Result<Option<Vec<CacheRecord>>> {
    let others: u64 = connection.query_row(
        "SELECT coalesce(sum(bytes), 0) FROM cache WHERE NOT (fingerprint = ?1 AND segment = ?2)",
        [&wanted.fingerprint, &wanted.segment],
        |row| unsigned(row, 0),
    )?;
    let excess = others.saturating_add(wanted.bytes).saturating_sub(budget);
    let is_wanted = |record: &CacheRecord| {
        (&record.fingerprint, &record.segment) == (&wanted.fingerprint, &wanted.segment)
    };
    let (victims, freed) =
        least_recently_used(connection, excess, &|record| is_wanted(record) || keep(record))?;
    Ok((freed >= excess).then_some(victims))
}

/// Records whose files add up to `excess` bytes, least recently used first, and what they add up to.
fn least_recently_used(
    connection: &Connection,
    excess: u64,
    keep: &dyn Fn(&CacheRecord) -> bool,
) -> Result<(Vec<CacheRecord>, u64)> {
    let (mut victims, mut freed) = (Vec::new(), 0);
    if excess == 0 {
        return Ok((victims, freed));
    }
    let mut statement = connection.prepare_cached(
        "SELECT fingerprint, segment, tokens, bytes, last_used FROM cache
         ORDER BY last_used, fingerprint, segment",
    )?;
    let mut rows = statement.query([])?;
    while freed < excess {
        let Some(row) = rows.next()? else { break };
        let candidate = read_record(row)?;
        if !keep(&candidate) {
            freed += candidate.bytes;
            victims.push(candidate);
        }
    }
    Ok((victims, freed))
}

fn total_bytes(connection: &Connection) -> rusqlite::Result<u64> {
    connection.query_row("SELECT coalesce(sum(bytes), 0) FROM cache", [], |row| unsigned(row, 0))
}

fn record(connection: &Connection, record: &CacheRecord) -> rusqlite::Result<usize> {
    connection
        .prepare_cached(
            "INSERT INTO cache (fingerprint, segment, tokens, bytes, created, last_used)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)
             ON CONFLICT (fingerprint, segment) DO UPDATE
             SET tokens = excluded.tokens, bytes = excluded.bytes, last_used = excluded.last_used",
        )?
        .execute(params![
            record.fingerprint,
            record.segment,
            signed(record.tokens),
            signed(record.bytes),
            milliseconds_now() / 1000,
            record.last_used
        ])
}

fn forget(connection: &Connection, fingerprint: &str, segment: &str) -> rusqlite::Result<usize> {
    connection
        .prepare_cached("DELETE FROM cache WHERE fingerprint = ?1 AND segment = ?2")?
        .execute([fingerprint, segment])
}

fn read_record(row: &Row<'_>) -> rusqlite::Result<CacheRecord> {
    Ok(CacheRecord {
        fingerprint: row.get(0)?,
        segment: row.get(1)?,
        tokens: unsigned(row, 2)?,
        bytes: unsigned(row, 3)?,
        last_used: row.get(4)?,
    })
}

/// SQLite has no unsigned numbers; a count that does not fit is none that we wrote.
fn unsigned(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    let value: i64 = row.get(column)?;
    u64::try_from(value).map_err(|_| rusqlite::Error::IntegralValueOutOfRange(column, value))
}

fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// The time of a use that happens now: later than every use on record, since the clock may stand still or jump back.
fn next_use(connection: &Connection) -> rusqlite::Result<i64> {
    let latest: Option<i64> =
        connection.query_row("SELECT max(last_used) FROM cache", [], |row| row.get(0))?;
    Ok(latest.map_or(0, |latest| latest.saturating_add(1)).max(milliseconds_now()))
}

fn milliseconds_now() -> i64 {
    // A clock before 1970 or past the year 292,000,000 gives 0: the order of uses does not depend on it.
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since_epoch.as_millis()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(segment: &str, bytes: u64) -> CacheRecord {
        CacheRecord { fingerprint: "f".into(), segment: segment.into(), tokens: 10, bytes, last_used: 0 }
    }

    fn of_f() -> CacheUses {
        CacheUses { fingerprint: "f".into(), ..CacheUses::default() }
    }

    fn read(record: CacheRecord) -> CacheUses {
        CacheUses { read: vec![record], ..of_f() }
    }

    fn names(records: &[CacheRecord]) -> Vec<&str> {
        records.iter().map(|record| record.segment.as_str()).collect()
    }

    fn with(segments: &[&str]) -> (tempfile::TempDir, Catalogue) {
        let folder = tempfile::tempdir().unwrap();
        let mut catalogue = Catalogue::open(folder.path()).unwrap();
        for segment in segments {
            catalogue.cache_note_uses(&read(of(segment, 100))).unwrap();
        }
        (folder, catalogue)
    }

    #[test]
    fn the_least_recently_used_make_room() {
        let (_folder, mut catalogue) = with(&["a", "b", "c"]);
        let uses = CacheUses { touched: vec!["a".into(), "unknown".into()], ..of_f() };
        catalogue.cache_note_uses(&uses).unwrap();

        let evicted = catalogue.cache_reserve(&of("d", 150), 300, &|_| false).unwrap().unwrap();

        assert_eq!(names(&evicted), ["b", "c"]);
        assert_eq!(catalogue.cache_bytes().unwrap(), 250);
        let mut left = catalogue.cache_segments("f").unwrap();
        left.sort();
        assert_eq!(left, ["a", "d"]);
    }

    #[test]
    fn what_is_kept_is_not_evicted_and_nothing_changes_when_the_rest_is_too_little() {
        let (_folder, mut catalogue) = with(&["a", "b"]);
        let keep_a = |record: &CacheRecord| record.segment == "a";

        assert_eq!(catalogue.cache_victims(&of("c", 250), 300, &keep_a).unwrap(), None);
        assert_eq!(catalogue.cache_reserve(&of("c", 250), 300, &keep_a).unwrap(), None);
        assert_eq!(catalogue.cache_bytes().unwrap(), 200);

        let evicted = catalogue.cache_reserve(&of("c", 200), 300, &keep_a).unwrap().unwrap();
        assert_eq!(names(&evicted), ["b"]);
    }

    #[test]
    fn replacing_a_file_does_not_count_it_twice() {
        let (_folder, mut catalogue) = with(&["a", "b"]);
        let evicted = catalogue.cache_reserve(&of("a", 120), 220, &|_| false).unwrap().unwrap();
        assert_eq!(names(&evicted), [""; 0]);
        assert_eq!(catalogue.cache_bytes().unwrap(), 220);
    }

    #[test]
    fn trimming_stops_at_the_budget() {
        let (_folder, mut catalogue) = with(&["a", "b", "c"]);
        assert_eq!(names(&catalogue.cache_trim(250, &|_| false).unwrap()), ["a"]);
        assert_eq!(names(&catalogue.cache_trim(0, &|record| record.segment == "b").unwrap()), ["c"]);
    }

    #[test]
    fn uses_keep_their_order_when_the_clock_is_set_back() {
        let (_folder, mut catalogue) = with(&[]);
        let far = CacheRecord { last_used: i64::MAX / 2, ..of("far", 1) };
        catalogue.cache_record(&[far]).unwrap();
        catalogue.cache_note_uses(&read(of("later", 1))).unwrap();
        assert_eq!(names(&catalogue.cache_trim(1, &|_| false).unwrap()), ["far"]);
    }

    #[test]
    fn groups_are_added_up_and_named() {
        let (_folder, mut catalogue) = with(&["a", "b"]);
        catalogue.cache_note_uses(&read(CacheRecord { fingerprint: "g".into(), ..of("x", 7) })).unwrap();
        catalogue.cache_name_group("f", "a model").unwrap();
        catalogue.cache_name_group("gone", "another").unwrap();

        let groups = catalogue.cache_groups().unwrap();

        let summary: Vec<_> = groups
            .iter()
            .map(|group| (group.fingerprint.as_str(), group.model.as_deref(), group.segments, group.bytes))
            .collect();
        assert_eq!(summary, [("g", None, 1, 7), ("f", Some("a model"), 2, 200)]);

        catalogue.cache_forget_empty_groups(&["f".to_owned()]).unwrap();
        let forgotten = [("f".into(), "a".into()), ("f".into(), "unknown".into())];
        assert_eq!(catalogue.cache_forget(&forgotten).unwrap(), 1);
        assert_eq!(catalogue.cache_records().unwrap().len(), 2);
    }

    #[test]
    fn uses_are_given_up_while_another_process_writes_and_misses_need_no_lock() {
        let (folder, mut catalogue) = with(&["a"]);
        let mut other = Catalogue::open(folder.path()).unwrap();
        let writing = other.connection.transaction_with_behavior(TransactionBehavior::Immediate).unwrap();

        catalogue.cache_note_uses(&CacheUses { gone: vec!["never there".into()], ..of_f() }).unwrap();
        let gone = CacheUses { gone: vec!["a".into()], ..of_f() };
        assert!(catalogue.cache_note_uses(&gone).is_err());
        let patience = |catalogue: &Catalogue| -> i64 {
            catalogue.connection.pragma_query_value(None, "busy_timeout", |row| row.get(0)).unwrap()
        };
        assert!(patience(&catalogue) > 1000, "what is not about an answer waits as before");

        drop(writing);
        catalogue.cache_note_uses(&gone).unwrap();
        assert!(catalogue.cache_records().unwrap().is_empty());
    }
}
