-- +goose Up
-- clients: programs that may ask about tokens, or take them back, by OAuth. What a
-- client may act on is one provider's tokens or one token, never both.
CREATE TABLE clients (
    id             TEXT PRIMARY KEY,
    name           TEXT NOT NULL,
    secret_hash    BYTEA NOT NULL,          -- SHA-256 of 160 random bits
    provider       TEXT NOT NULL,           -- '': one token only
    token_id       TEXT NOT NULL,           -- '': all tokens of the provider
    may_introspect BOOLEAN NOT NULL,
    may_revoke     BOOLEAN NOT NULL,
    created_at     BIGINT NOT NULL,
    revoked_at     BIGINT NOT NULL,
    last_used_at   BIGINT NOT NULL
); -- keyed

-- A key signs from use_at (0: from created_at) until another of its algorithm
-- does, and verifies until it is burned. The version before made keys without
-- these columns: the defaults are for it.
ALTER TABLE signing_keys ADD COLUMN use_at BIGINT NOT NULL DEFAULT 0;
ALTER TABLE signing_keys ADD COLUMN burned_at BIGINT NOT NULL DEFAULT 0;
ALTER TABLE signing_keys ADD COLUMN burn_reason TEXT NOT NULL DEFAULT '';
