-- +goose Up
-- token_usage: how often a token was used, by day, as gateways and /check tell. No
-- person, no address, no instant but the last one.
CREATE TABLE token_usage (
    token_id TEXT   NOT NULL REFERENCES tokens (id),
    day      TEXT   NOT NULL,              -- in Paris, as 2026-11-22
    uses     BIGINT NOT NULL CHECK (uses > 0),
    last_at  BIGINT NOT NULL,              -- to the minute or so
    PRIMARY KEY (token_id, day)
); -- keyed
CREATE INDEX token_usage_day ON token_usage (day);

-- usage_reports: those that were added, so that one that comes again is not.
CREATE TABLE usage_reports (
    gateway_id TEXT   NOT NULL,            -- empty: the server's own
    report     TEXT   NOT NULL,
    at         BIGINT NOT NULL,
    PRIMARY KEY (gateway_id, report)
); -- keyed
CREATE INDEX usage_reports_at ON usage_reports (at);
