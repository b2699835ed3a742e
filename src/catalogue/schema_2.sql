-- What else is known of an answer: by which strategy, how it ended, where its chunks' caches came from. NULL in chats
-- from before.
ALTER TABLE message ADD COLUMN details TEXT CHECK (json_valid(details));
