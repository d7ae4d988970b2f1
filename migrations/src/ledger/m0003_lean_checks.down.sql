-- What was written without the checks would pass them.
SELECT 1;
