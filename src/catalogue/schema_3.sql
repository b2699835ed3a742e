-- When a chat was added to last: the one used last is listed first. Of chats from before, their beginning is known.
ALTER TABLE session ADD COLUMN used INTEGER NOT NULL DEFAULT 0;
UPDATE session SET used = started;
DROP INDEX session_by_start;
CREATE INDEX session_by_use ON session (used);

-- 1 where later messages have taken the place of this one, as when a question is asked again or edited.
ALTER TABLE message ADD COLUMN superseded INTEGER NOT NULL DEFAULT 0 CHECK (superseded IN (0, 1));
