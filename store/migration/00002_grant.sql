-- +goose Up
CREATE TABLE requests (
    id                 TEXT PRIMARY KEY,
    provider           TEXT NOT NULL,
    external_id        TEXT NOT NULL,
    public_id          TEXT NOT NULL,
    status             TEXT NOT NULL,
    title              TEXT NOT NULL,
    description        TEXT NOT NULL,
    procedure_name     TEXT NOT NULL,
    siret              TEXT NOT NULL,
    organization       TEXT NOT NULL,
    previous_id        TEXT NOT NULL,
    scopes             TEXT NOT NULL,
    contacts           TEXT NOT NULL,
    authorizations     TEXT NOT NULL,
    search_text        TEXT NOT NULL,        -- lower case, without accents
    first_submitted_at BIGINT NOT NULL,
    validated_at       BIGINT NOT NULL,
    revoked_at         BIGINT NOT NULL,
    archived_at        BIGINT NOT NULL,
    deleted_at_source  BIGINT NOT NULL,
    purge_at           BIGINT NOT NULL,
    purged_at          BIGINT NOT NULL,
    tombstone          BOOLEAN NOT NULL,
    last_fired_at      BIGINT NOT NULL,
    last_rank          BIGINT NOT NULL,
    last_grant_at      BIGINT NOT NULL,
    last_grant_rank    BIGINT NOT NULL,
    created_at         BIGINT NOT NULL,
    updated_at         BIGINT NOT NULL,
    version            BIGINT NOT NULL
);
CREATE UNIQUE INDEX requests_external ON requests (provider, external_id);
CREATE INDEX requests_recent ON requests (updated_at, id);
CREATE INDEX requests_purge ON requests (purge_at) WHERE purge_at <> 0;

CREATE TABLE tokens (
    id            TEXT PRIMARY KEY,
    request_id    TEXT NOT NULL REFERENCES requests (id),
    authorization_id TEXT NOT NULL,
    status_index  BIGINT NOT NULL,
    scopes        TEXT NOT NULL,
    title         TEXT NOT NULL,
    legacy_id     TEXT NOT NULL,
    issued_at     BIGINT NOT NULL,
    expires_at    BIGINT NOT NULL,
    block_at      BIGINT NOT NULL,
    blocked_at    BIGINT NOT NULL,
    block_reason  TEXT NOT NULL,
    reminders     TEXT NOT NULL,
    version       BIGINT NOT NULL
); -- keyed
CREATE UNIQUE INDEX tokens_index ON tokens (status_index);
CREATE INDEX tokens_request ON tokens (request_id, issued_at);
CREATE INDEX tokens_due ON tokens (block_at) WHERE block_at <> 0 AND blocked_at = 0;

-- blocklist: what every gateway must refuse. seq has no gap and follows the
-- order of commits: its head is locked from the first block to the commit.
CREATE TABLE blocklist (
    seq          BIGINT PRIMARY KEY,
    token_id     TEXT NOT NULL REFERENCES tokens (id),
    status_index BIGINT NOT NULL,
    at           BIGINT NOT NULL
);
CREATE UNIQUE INDEX blocklist_token ON blocklist (token_id);
CREATE TABLE blocklist_head (
    id    BIGINT PRIMARY KEY,
    epoch BIGINT NOT NULL,
    seq   BIGINT NOT NULL
);
INSERT INTO blocklist_head (id, epoch, seq) VALUES (1, 1, 0);

-- chains: one per request, and one per provider for what names no request. The
-- row is the request's lock, whether the request is known or not.
CREATE TABLE chains (
    chain  TEXT PRIMARY KEY,
    length BIGINT NOT NULL,
    head   BYTEA NOT NULL
); -- keyed

-- deliveries: the journal.
CREATE TABLE deliveries (
    id          TEXT PRIMARY KEY,
    chain       TEXT NOT NULL,
    n           BIGINT NOT NULL,
    provider    TEXT NOT NULL,
    external_id TEXT NOT NULL,
    format      TEXT NOT NULL,
    event       TEXT NOT NULL,
    model_type  TEXT NOT NULL,
    fired_at    BIGINT NOT NULL,
    received_at BIGINT NOT NULL,
    identity    BYTEA NOT NULL,
    effect      TEXT NOT NULL,
    note        TEXT NOT NULL,
    before      TEXT NOT NULL,
    after       TEXT NOT NULL,
    token_id    TEXT NOT NULL,
    refused     BOOLEAN NOT NULL,
    problem     TEXT NOT NULL,
    blocked     BIGINT NOT NULL,
    mails       BIGINT NOT NULL,
    replay_of   TEXT NOT NULL,
    actor_kind  TEXT NOT NULL,
    actor_id    TEXT NOT NULL,
    actor_name  TEXT NOT NULL,
    resolved_at BIGINT NOT NULL,
    body_hash   BYTEA NOT NULL,
    prev        BYTEA NOT NULL,
    hash        BYTEA NOT NULL,
    body        BYTEA
);
CREATE UNIQUE INDEX deliveries_chain ON deliveries (chain, n);
-- A request's own chain is short enough to look for an event in; what names no
-- request is not.
CREATE INDEX deliveries_nameless ON deliveries (chain, identity) WHERE external_id = '';
CREATE INDEX deliveries_open ON deliveries (id) WHERE resolved_at = 0 AND effect IN ('held', 'quarantined');
