package store

// bankInvariants are what must hold of the bank window, at every commit.
var bankInvariants = []invariant{
	{"an access has at most one live attempt", `SELECT access_id FROM attempts
		WHERE state IN ('queued', 'running', 'waiting') GROUP BY access_id HAVING COUNT(*) > 1`},
	{"a login has at most one live attempt", `SELECT MIN(id) FROM attempts
		WHERE state IN ('queued', 'running', 'waiting') GROUP BY fingerprint HAVING COUNT(*) > 1`},
	{"a live attempt is the latest of an access", `SELECT id FROM attempts
		WHERE state IN ('queued', 'running', 'waiting') AND id NOT IN (SELECT attempt_id FROM accesses WHERE accesses.id = attempts.access_id)`},
	{"an access without account has a live attempt", `SELECT accesses.id FROM accesses
		LEFT JOIN attempts ON attempts.id = accesses.attempt_id AND attempts.state IN ('queued', 'running', 'waiting')
		WHERE NOT accesses.has_accounts AND attempts.id IS NULL`},
	{"an attempt that ended has an end and no worker", `SELECT id FROM attempts
		WHERE (state IN ('queued', 'running', 'waiting')) <> (ended_at = 0) OR ended_at <> 0 AND worker <> ''`},
	{"an attempt that waits has a question that stands", `SELECT attempts.id FROM attempts
		LEFT JOIN challenges ON challenges.id = attempts.challenge_id AND challenges.status IN ('open', 'answering')
		WHERE attempts.state = 'waiting' AND challenges.id IS NULL`},
	{"a question that stands belongs to a live attempt, and is its latest", `SELECT challenges.id FROM challenges
		LEFT JOIN attempts ON attempts.id = challenges.attempt_id AND attempts.challenge_id = challenges.id
		AND attempts.state IN ('running', 'waiting')
		WHERE challenges.status IN ('open', 'answering') AND attempts.id IS NULL`},
	{"an answer at the bank has a worker", `SELECT challenges.id FROM challenges JOIN attempts ON attempts.id = challenges.attempt_id
		WHERE challenges.status = 'answering' AND attempts.worker = ''`},
	{"a question that is over keeps no session", `SELECT id FROM challenges
		WHERE status NOT IN ('open', 'answering') AND (LENGTH(session) > 0 OR ended_at = 0)`},
	{"no question gives more tries than its bank allows", `SELECT id FROM challenges
		WHERE used < 0 OR used > max_answers OR max_answers > 2 OR status = 'open' AND used >= max_answers`},
	{"an access has accounts exactly when it says so", `SELECT accesses.id FROM accesses
		WHERE has_accounts <> EXISTS (SELECT 1 FROM accounts WHERE accounts.access_id = accesses.id)`},
	{"an account has an access", `SELECT id FROM accounts WHERE access_id NOT IN (SELECT id FROM accesses)`},
	{"a transaction has an account", `SELECT id FROM transactions WHERE account_id NOT IN (SELECT id FROM accounts)`},
	{"what was lent is given back", `SELECT accesses.id FROM accesses
		LEFT JOIN attempts ON attempts.id = accesses.attempt_id AND attempts.state IN ('queued', 'running', 'waiting')
		WHERE accesses.lent AND attempts.id IS NULL AND (LENGTH(accesses.credentials) > 0 OR LENGTH(accesses.session) > 0)`},
	{"a paused access is not to be fetched", `SELECT id FROM accesses
		WHERE next_poll <> 0 AND (pause <> '' OR disabled OR night_off OR lent OR NOT has_accounts)`},
	{"a disabled access has no sealed credentials", `SELECT id FROM accesses WHERE disabled AND (LENGTH(credentials) > 0 OR LENGTH(session) > 0)`},
	{"an attempt that ended keeps no credentials", `SELECT id FROM attempts WHERE ended_at <> 0 AND LENGTH(credentials) > 0`},
	{"the end of every attempt is in the audit", `SELECT id FROM attempts WHERE ended_at <> 0 AND NOT EXISTS (SELECT 1 FROM audit_entries
		WHERE audit_entries.subject = 'access/' || attempts.access_id AND audit_entries.deed = 'attempt.' || attempts.state
		AND audit_entries.detail LIKE '%' || attempts.id || '%')`},
	{"every question is in the audit", `SELECT id FROM challenges WHERE NOT EXISTS (SELECT 1 FROM audit_entries
		WHERE audit_entries.subject = 'access/' || challenges.access_id AND audit_entries.deed = 'question.asked'
		AND audit_entries.detail LIKE '%' || challenges.id || '%')`},
}
