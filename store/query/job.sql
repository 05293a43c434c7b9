-- name: EnqueueJob :execrows
INSERT INTO jobs (id, kind, job_key, args, state, run_at, attempt, max_attempts, worker, lease_until, last_error, created_at)
VALUES ($1, $2, $3, $4, 'ready', $5, 0, $6, '', 0, '', $7)
ON CONFLICT (kind, job_key) WHERE job_key <> '' AND state <> 'dead' DO NOTHING;

-- name: TakeSlot :execrows
INSERT INTO job_slots (kind, slot, made_at) VALUES ($1, $2, $3) ON CONFLICT (kind, slot) DO NOTHING;

-- name: DropSlots :exec
DELETE FROM job_slots WHERE made_at < $1;

-- name: NextKind :many
SELECT kind FROM jobs WHERE state = 'ready' AND kind > $1 ORDER BY kind LIMIT 1;

-- name: DueJobs :many
SELECT id, run_at FROM jobs WHERE state = 'ready' AND kind = $1 AND run_at <= $2 ORDER BY run_at LIMIT $3;

-- name: ClaimJob :many
UPDATE jobs SET state = 'running', worker = $2, lease_until = $3, attempt = attempt + 1
WHERE id = $1 AND state = 'ready'
RETURNING *;

-- name: FreeLeases :execrows
UPDATE jobs SET state = 'ready', worker = '', run_at = $1
WHERE state = 'running' AND lease_until < $1;

-- name: ExtendLease :execrows
UPDATE jobs SET lease_until = $4 WHERE id = $1 AND worker = $2 AND attempt = $3 AND state = 'running';

-- name: FinishJob :execrows
DELETE FROM jobs WHERE id = $1 AND worker = $2 AND attempt = $3 AND state = 'running';

-- name: RetryJob :execrows
UPDATE jobs SET state = $4, run_at = $5, last_error = $6, worker = '', lease_until = 0
WHERE id = $1 AND worker = $2 AND attempt = $3 AND state = 'running';

-- name: JobCounts :many
SELECT kind, state, COUNT(*) AS number FROM jobs GROUP BY kind, state;

-- name: ExpiredLeases :one
SELECT COUNT(*) FROM jobs WHERE state = 'running' AND lease_until < $1;

-- name: SlotTaken :one
SELECT COUNT(*) FROM job_slots WHERE kind = $1 AND slot = $2;
