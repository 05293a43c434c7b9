-- +goose Up
-- By kind first: thousands of letters that wait for a mail server hide nothing
-- behind them, and are not read to find what else is due.
DROP INDEX jobs_due;
CREATE INDEX jobs_due ON jobs (kind, run_at) WHERE state = 'ready';
