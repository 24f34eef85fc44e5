-- Readers and writers go on meanwhile. Cannot be in a transaction.
drop index concurrently if exists /*schema*//*index*/
