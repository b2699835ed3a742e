-- 1 for a path of a collection: what is indexed of it is for the collections to say. Without one that has the path, nothing
-- of it is indexed any more that was left out before.
ALTER TABLE root ADD COLUMN for_collection INTEGER NOT NULL DEFAULT 0 CHECK (for_collection IN (0, 1));
