-- SQLite compiles a check once, with the statement.
SELECT 1;
