-- +goose Up
-- An access that is disabled keeps its data and no secret: the database refuses
-- anything else. Not to be fetched at night is another wish, and has its own name.
ALTER TABLE accesses RENAME COLUMN disabled TO night_off;
ALTER TABLE accesses ADD COLUMN disabled BOOLEAN NOT NULL DEFAULT FALSE
    CHECK (NOT disabled OR (length(credentials) = 0 AND length(session) = 0));
ALTER TABLE accesses ADD COLUMN strong_at BIGINT NOT NULL DEFAULT 0;    -- the last answer that satisfied the bank
ALTER TABLE accesses ADD COLUMN trust_warned BIGINT NOT NULL DEFAULT 0; -- days before trusted_until that were told; 0: none

-- Credentials typed for an attempt, sealed; gone with it.
ALTER TABLE attempts ADD COLUMN credentials BYTEA NOT NULL DEFAULT '';
