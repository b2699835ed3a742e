-- Times are seconds since the Unix epoch, sizes are bytes, hashes are hexadecimal BLAKE3, paths are the bytes of
-- the operating system (a file's name need not be UTF-8).

-- Counters that must agree with what is outside the database. 'generation' numbers the changes of files and
-- chunks, 'identity' tells this database from any other: the search index names both of the state it shows.
CREATE TABLE meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT;
INSERT INTO meta (name, value) VALUES ('generation', 0), ('identity', random());

-- What the user added. No root lies inside another one.
CREATE TABLE root (
    id     INTEGER PRIMARY KEY AUTOINCREMENT,
    path   BLOB NOT NULL UNIQUE,                            -- absolute, without symbolic links
    kind   TEXT NOT NULL CHECK (kind IN ('folder', 'file')),
    added  INTEGER NOT NULL
) STRICT;

-- One version of an indexed file. A changed file gets a new row: an id stands for one content for ever, so that a
-- document of the search index whose file is no longer here is known to be out of date.
CREATE TABLE file (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    root       INTEGER NOT NULL REFERENCES root (id) ON DELETE CASCADE,
    relative   BLOB NOT NULL,                               -- from the root; the file's name where the root is a file
    hash       TEXT NOT NULL,
    bytes      INTEGER NOT NULL,
    title      TEXT NOT NULL,
    recipe     TEXT NOT NULL,                               -- how it was cut: another recipe, other chunks
    generation INTEGER NOT NULL,
    UNIQUE (root, relative)
) STRICT;

-- The chunks of a file. The same chunk may occur in several files, and more than once in one.
CREATE TABLE chunk (
    file       INTEGER NOT NULL REFERENCES file (id) ON DELETE CASCADE,
    ordinal    INTEGER NOT NULL,                            -- from 0, in the order of the text
    id         TEXT NOT NULL,
    start      INTEGER NOT NULL,                            -- bytes of the document's text
    stop       INTEGER NOT NULL,
    first_line INTEGER,
    last_line  INTEGER,
    page       INTEGER,
    heading    TEXT NOT NULL,                               -- JSON array, outermost first
    label      TEXT NOT NULL,
    text       TEXT NOT NULL,
    tokens     INTEGER NOT NULL,
    PRIMARY KEY (file, ordinal)
) STRICT;
CREATE INDEX chunk_by_id ON chunk (id);

-- Files that could not be read. The hash is that of the content that failed; without one the file is tried again.
CREATE TABLE issue (
    root     INTEGER NOT NULL REFERENCES root (id) ON DELETE CASCADE,
    relative BLOB NOT NULL,
    hash     TEXT,
    reason   TEXT NOT NULL,
    PRIMARY KEY (root, relative)
) STRICT, WITHOUT ROWID;

-- Chats.
CREATE TABLE session (
    id      INTEGER PRIMARY KEY AUTOINCREMENT,
    started INTEGER NOT NULL,
    title   TEXT NOT NULL
) STRICT;
CREATE INDEX session_by_start ON session (started);

CREATE TABLE message (
    session INTEGER NOT NULL REFERENCES session (id) ON DELETE CASCADE,
    ordinal INTEGER NOT NULL,                               -- from 0
    role    TEXT NOT NULL CHECK (role IN ('user', 'assistant')),
    text    TEXT NOT NULL,
    sources TEXT CHECK (json_valid(sources)),               -- the chunks of an answer
    timings TEXT CHECK (json_valid(timings)),               -- what an answer took
    PRIMARY KEY (session, ordinal)
) STRICT;

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
