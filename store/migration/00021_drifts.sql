-- +goose Up
-- Reconciliation: what the source of requests says when it is asked, compared with
-- what its deliveries made us believe.

-- reconciliations: the newest run of each provider. The row is the run's lock; a
-- run that was killed goes on at position.
CREATE TABLE reconciliations (
    provider   TEXT PRIMARY KEY,
    run_id     TEXT NOT NULL,
    state      TEXT NOT NULL,
    worker     TEXT NOT NULL,
    started_at BIGINT NOT NULL,
    beat_at    BIGINT NOT NULL,
    ended_at   BIGINT NOT NULL,
    position   BIGINT NOT NULL,
    listed     BOOLEAN NOT NULL,
    seen       BIGINT NOT NULL,
    opened     BIGINT NOT NULL,
    failure    TEXT NOT NULL,
    done_at    BIGINT NOT NULL,
    version    BIGINT NOT NULL
); -- keyed

-- reconcile_seen: which requests a run has looked at, so that what the list lacks
-- can be told.
CREATE TABLE reconcile_seen (
    provider    TEXT NOT NULL,
    external_id TEXT NOT NULL,
    run_id      TEXT NOT NULL,
    PRIMARY KEY (provider, external_id)
); -- keyed

-- drifts: one row from the day the two sides were seen to disagree to the day they
-- agree, or somebody decided.
CREATE TABLE drifts (
    id          TEXT PRIMARY KEY,
    provider    TEXT NOT NULL,
    external_id TEXT NOT NULL,
    kind        TEXT NOT NULL,
    what        TEXT NOT NULL,
    repair      TEXT NOT NULL,
    event       TEXT NOT NULL,
    event_id    TEXT NOT NULL,
    event_at    BIGINT NOT NULL,
    theirs      TEXT NOT NULL,
    ours        TEXT NOT NULL,
    tokens      BIGINT NOT NULL,
    state       TEXT NOT NULL,
    opened_at   BIGINT NOT NULL,
    seen_at     BIGINT NOT NULL,
    closed_at   BIGINT NOT NULL,
    closed_by   TEXT NOT NULL,
    reason      TEXT NOT NULL,
    alerted     BOOLEAN NOT NULL,
    version     BIGINT NOT NULL
); -- keyed
CREATE UNIQUE INDEX drifts_standing ON drifts (provider, external_id, kind, what) WHERE state IN ('open', 'dismissed');
CREATE INDEX drifts_state ON drifts (state, id);
