-- +goose Up
-- The bank window. Portable text, as in 00001. Columns named credentials, form
-- and session are sealed by the keyring for their own row; empty: none.

-- accesses: one login of one person at one institution.
CREATE TABLE accesses (
    id              TEXT PRIMARY KEY,
    owner           TEXT NOT NULL,
    institution     TEXT NOT NULL,
    connector       TEXT NOT NULL,
    label           TEXT NOT NULL,
    locale          TEXT NOT NULL,
    credentials     BYTEA NOT NULL,
    session         BYTEA NOT NULL,
    session_expires BIGINT NOT NULL,
    lent            BOOLEAN NOT NULL,
    fingerprint     TEXT NOT NULL,
    created_at      BIGINT NOT NULL,
    has_accounts    BOOLEAN NOT NULL,
    attempt_id      TEXT NOT NULL,           -- the latest, the only one that can be live
    disabled        BOOLEAN NOT NULL,
    pause           TEXT NOT NULL,
    next_poll       BIGINT NOT NULL,
    failures        BIGINT NOT NULL,
    last_success    BIGINT NOT NULL,
    trusted_until   BIGINT NOT NULL,
    version         BIGINT NOT NULL
);
CREATE INDEX accesses_owner ON accesses (owner, id);
CREATE INDEX accesses_due ON accesses (next_poll) WHERE next_poll <> 0;

-- attempts: one action towards a bank. They outlive their access for a while, so
-- that a late reader learns what happened: no foreign key.
CREATE TABLE attempts (
    id           TEXT PRIMARY KEY,
    owner        TEXT NOT NULL,
    access_id    TEXT NOT NULL,
    account_id   TEXT NOT NULL,
    purpose      TEXT NOT NULL,
    trigger_kind TEXT NOT NULL,
    state        TEXT NOT NULL,
    fingerprint  TEXT NOT NULL,
    institution  TEXT NOT NULL,
    label        TEXT NOT NULL,
    form         BYTEA NOT NULL,
    challenge_id TEXT NOT NULL,              -- the latest, the only one that can be live
    created_at   BIGINT NOT NULL,
    updated_at   BIGINT NOT NULL,
    ended_at     BIGINT NOT NULL,
    worker       TEXT NOT NULL,              -- who speaks to the bank; empty: nobody
    epoch        BIGINT NOT NULL,            -- the fence
    lease_until  BIGINT NOT NULL,
    phase        TEXT NOT NULL,
    done         BIGINT NOT NULL,
    total        BIGINT NOT NULL,
    outcome      TEXT NOT NULL,
    detail       TEXT NOT NULL,              -- JSON: reason, text, warnings, counts…
    version      BIGINT NOT NULL
);
-- One live attempt per access, and per login at a bank, whatever the replicas do.
CREATE UNIQUE INDEX attempts_live_access ON attempts (access_id) WHERE state IN ('queued', 'running', 'waiting');
CREATE UNIQUE INDEX attempts_live_login ON attempts (fingerprint) WHERE state IN ('queued', 'running', 'waiting');
CREATE INDEX attempts_access ON attempts (access_id);
CREATE INDEX attempts_owner ON attempts (owner, updated_at);

-- challenges: questions of banks. No code is ever in one.
CREATE TABLE challenges (
    id           TEXT PRIMARY KEY,
    owner        TEXT NOT NULL,
    attempt_id   TEXT NOT NULL REFERENCES attempts (id) ON DELETE CASCADE,
    access_id    TEXT NOT NULL,
    seq          BIGINT NOT NULL,
    status       TEXT NOT NULL,
    question     TEXT NOT NULL,              -- JSON
    created_at   BIGINT NOT NULL,
    ended_at     BIGINT NOT NULL,
    deadline     BIGINT NOT NULL,
    used         BIGINT NOT NULL,
    max_answers  BIGINT NOT NULL,
    resends      BIGINT NOT NULL,
    resending    BOOLEAN NOT NULL,
    answer_keys  TEXT NOT NULL,              -- JSON: idempotency keys
    session      BYTEA NOT NULL,
    last_outcome TEXT NOT NULL,
    last_text    TEXT NOT NULL,
    version      BIGINT NOT NULL,
    UNIQUE (attempt_id, seq)
);
CREATE UNIQUE INDEX challenges_live ON challenges (access_id) WHERE status IN ('open', 'answering');

CREATE TABLE accounts (
    id        TEXT PRIMARY KEY,
    access_id TEXT NOT NULL REFERENCES accesses (id) ON DELETE CASCADE,
    ref       TEXT NOT NULL,
    kind      TEXT NOT NULL,
    subtype   TEXT NOT NULL,
    label     TEXT NOT NULL,
    iban      TEXT NOT NULL,
    number    TEXT NOT NULL,
    parent    TEXT NOT NULL,
    balance   BIGINT NOT NULL,               -- minor units
    currency  TEXT NOT NULL,
    as_of     BIGINT NOT NULL,
    missing   BOOLEAN NOT NULL,
    UNIQUE (access_id, ref)
);

CREATE TABLE transactions (
    id                TEXT PRIMARY KEY,
    account_id        TEXT NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    ref               TEXT NOT NULL,
    status            TEXT NOT NULL,
    type              TEXT NOT NULL,
    amount            BIGINT NOT NULL,       -- minor units
    currency          TEXT NOT NULL,
    original_amount   BIGINT NOT NULL,
    original_currency TEXT NOT NULL,
    raw_label         TEXT NOT NULL,
    label             TEXT NOT NULL,
    booked_on         TEXT NOT NULL,         -- days as 2026-05-04; empty: unknown
    done_on           TEXT NOT NULL,
    value_on          TEXT NOT NULL,
    seen_on           TEXT NOT NULL,
    day               TEXT NOT NULL          -- what lists are sorted by: done, else booked, else seen
);
CREATE INDEX transactions_page ON transactions (account_id, day, id);
CREATE INDEX transactions_unsettled ON transactions (account_id) WHERE status <> 'booked';
