-- Times are seconds since the Unix epoch, sizes are bytes.

-- Counters that must agree with what is outside the database; 'generation' numbers the changes of files and chunks.
CREATE TABLE meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT;

-- One row for each cache file: which model and prefix (fingerprint), which chunk ('prefix' for the prefix itself).
CREATE TABLE cache (
    fingerprint TEXT NOT NULL,
    segment     TEXT NOT NULL,
    tokens      INTEGER NOT NULL,
    bytes       INTEGER NOT NULL, -- allocated on disk
    created     INTEGER NOT NULL,
    last_used   INTEGER NOT NULL, -- in milliseconds, so that uses within a second keep their order
    PRIMARY KEY (fingerprint, segment)
) STRICT, WITHOUT ROWID;
CREATE INDEX cache_by_use ON cache (last_used);

-- What each fingerprint stands for, for people.
CREATE TABLE cache_group (fingerprint TEXT PRIMARY KEY, model TEXT NOT NULL, created INTEGER NOT NULL) STRICT;
