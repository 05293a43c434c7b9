-- +goose Up
-- provider_secrets: what is known of the secrets of the configuration, by a mark
-- that tells nothing of them: when each was last used, and which an operator ended.
CREATE TABLE provider_secrets (
    provider     TEXT NOT NULL,
    mark         TEXT NOT NULL,
    last_used_at BIGINT NOT NULL,           -- to the minute
    ended_at     BIGINT NOT NULL,           -- 0: not ended by hand
    ended_by     TEXT NOT NULL,
    PRIMARY KEY (provider, mark)
); -- keyed
