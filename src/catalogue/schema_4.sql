-- When the file was last changed, in seconds since the Unix epoch, as far as the file system knows: for the order in
-- which files are encoded, never to tell whether a file has changed.
ALTER TABLE file ADD COLUMN modified INTEGER NOT NULL DEFAULT 0;

-- The files that questions drew on or that were opened: they come first. The numbers count up over all uses, so that a
-- clock that is set back changes no order; 0 is never.
CREATE TABLE attention (
    path   BLOB PRIMARY KEY,
    asked  INTEGER NOT NULL DEFAULT 0,
    opened INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;
