-- Holds the write lock meanwhile.
reindex /*schema*//*index*/
