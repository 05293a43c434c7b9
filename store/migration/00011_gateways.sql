-- +goose Up
-- gateways: who may read the blocklist beside the server. Only a hash of what a
-- gateway holds is kept; the former one is good until the new one is used.
CREATE TABLE gateways (
    id           TEXT PRIMARY KEY,
    name         TEXT NOT NULL,
    hash         BYTEA NOT NULL,
    former_hash  BYTEA NOT NULL,            -- empty: none
    former_until BIGINT NOT NULL,
    created_at   BIGINT NOT NULL,
    revoked_at   BIGINT NOT NULL,
    epoch        BIGINT NOT NULL,           -- of the list it had when it last asked
    seq          BIGINT NOT NULL,
    stale_after  BIGINT NOT NULL,           -- microseconds
    software     TEXT NOT NULL,
    contact_at   BIGINT NOT NULL,
    version      BIGINT NOT NULL
); -- keyed
CREATE UNIQUE INDEX gateways_name ON gateways (name) WHERE revoked_at = 0;
CREATE UNIQUE INDEX gateways_hash ON gateways (hash);
CREATE INDEX gateways_former ON gateways (former_hash) WHERE former_until <> 0;
