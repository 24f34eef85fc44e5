-- Writers go on meanwhile. Cannot be in a transaction.
reindex index concurrently /*schema*//*index*/
