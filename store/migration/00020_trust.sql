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

-- What the sweeper looks for, and nothing that only waits.
CREATE INDEX challenges_due ON challenges (deadline, access_id) WHERE status = 'open';
CREATE INDEX attempts_queued ON attempts (updated_at, access_id) WHERE state = 'queued';
CREATE INDEX attempts_leased ON attempts (lease_until, access_id) WHERE worker <> '';
CREATE INDEX accesses_drafts ON accesses (id, has_accounts) WHERE NOT has_accounts;
CREATE INDEX attempts_live ON attempts (access_id, ended_at) WHERE ended_at = 0;
CREATE INDEX attempts_ended ON attempts (ended_at) WHERE ended_at <> 0;
CREATE INDEX accesses_trusted ON accesses (trusted_until) WHERE trusted_until <> 0;
