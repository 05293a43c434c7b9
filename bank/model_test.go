package bank_test

import (
	"time"

	"guichet/bank"
)

// The model of one access: what must come of each thing a person, a worker, a bank
// or a death does, told once more in as few words as possible and without a look at
// how [bank.Desk] does it. It has no store, no bank and no goroutine.
type model struct {
	access  bool // it is there
	opened  bool // it has its accounts
	pause   bank.Pause
	attempt *modelAttempt // the latest
}

type modelAttempt struct {
	state    bank.AttemptState
	byPerson bool
	queued   time.Time
	call     *call // who speaks to the bank for it; nil: nobody
	lease    time.Time
	question *modelQuestion
}

type modelQuestion struct {
	seq, used, resends int
	phone, resending   bool
	status             bank.ChallengeStatus
	deadline           time.Time
	keys               map[string]bool
}

const (
	modelLease  = 10 * time.Second
	modelQueue  = 10 * time.Minute
	modelTries  = 2
	modelResend = 3
)

func (m *model) live() bool { return m.attempt != nil && m.attempt.state.Live() }

func (m *model) overdue(now time.Time) bool {
	return m.live() && m.attempt.state == bank.AttemptWaiting && m.attempt.question.status == bank.StatusOpen && !now.Before(m.attempt.question.deadline)
}

// end ends the attempt. A creation that brought nothing leaves nothing.
func (m *model) end(s bank.AttemptState, q bank.ChallengeStatus) {
	a := m.attempt
	a.state, a.call = s, nil
	if a.question != nil && a.question.status.Live() {
		a.question.status = q
	}
	if !m.opened {
		m.access = false
	}
}

// start is a person who wants their accounts.
func (m *model) start(now time.Time) (fresh bool) {
	switch {
	case m.live() && m.attempt.state == bank.AttemptQueued && !m.attempt.byPerson:
		m.attempt.byPerson, m.attempt.queued = true, now // the night's, taken over
		return false
	case m.live():
		return false
	}
	m.attempt = &modelAttempt{state: bank.AttemptQueued, byPerson: true, queued: now}
	if !m.access {
		m.access, m.pause = true, ""
	}
	return true
}

// night is the poll; it says how many attempts it starts.
func (m *model) night(now time.Time) int {
	if !m.opened || m.pause != "" || m.live() {
		return 0
	}
	m.attempt = &modelAttempt{state: bank.AttemptQueued, queued: now}
	return 1
}

// work is a worker that comes; it says whether it goes to the bank.
func (m *model) work(now time.Time) bool {
	a := m.attempt
	switch {
	case !m.live():
		return false
	case m.overdue(now):
		m.end(bank.AttemptExpired, bank.StatusExpired)
		return false
	case a.state == bank.AttemptQueued:
		a.state = bank.AttemptRunning
	case a.state == bank.AttemptWaiting && a.question.phone && a.question.status == bank.StatusOpen:
		a.question.status = bank.StatusAnswering
	default:
		return false
	}
	a.lease = now.Add(modelLease)
	return true
}

// answer is a person's answer, or their wish for another code.
func (m *model) answer(now time.Time, key string, stale, misspelt, resend bool) (goes bool, refusal string) {
	a := m.attempt
	q := a.question
	switch {
	case key != "" && q.keys[key]:
		return false, ""
	case m.overdue(now):
		m.end(bank.AttemptExpired, bank.StatusExpired)
		return false, "question_expired"
	case q.phone && q.status == bank.StatusAnswering && !resend:
		return false, ""
	case stale && q.status.Live():
		return false, "changed_meanwhile"
	case q.status == bank.StatusExpired:
		return false, "question_expired"
	case q.status == bank.StatusAnswering:
		return false, "question_busy"
	case q.status != bank.StatusOpen:
		return false, "question_over"
	case resend && (q.phone || q.resends >= modelResend):
		return false, "no_resend"
	case misspelt && !resend && !q.phone:
		return false, "field_invalid"
	}
	if key != "" {
		q.keys[key] = true
	}
	if q.phone {
		return false, "" // the phone is looked at soon
	}
	if q.resending = resend; !resend {
		q.used++
	}
	q.status, a.state, a.lease = bank.StatusAnswering, bank.AttemptRunning, now.Add(modelLease)
	return true, ""
}

// cancel is a person who gives up, whatever is going on.
func (m *model) cancel(now time.Time) {
	if !m.live() {
		return
	}
	closed := bank.StatusCancelled
	if q := m.attempt.question; q != nil && q.status == bank.StatusOpen && !now.Before(q.deadline) {
		closed = bank.StatusExpired
	}
	m.end(bank.AttemptCancelled, closed)
}

// sweep is a page load, or the timer: it puts right what time and deaths left.
func (m *model) sweep(now time.Time) {
	a := m.attempt
	switch {
	case !m.live():
	case m.overdue(now):
		m.end(bank.AttemptExpired, bank.StatusExpired)
	case a.state == bank.AttemptQueued:
		if now.Sub(a.queued) > modelQueue {
			m.end(bank.AttemptFailed, bank.StatusCancelled)
		}
	case a.call == nil || now.Before(a.lease): // nobody is at the bank, or they live
	case a.question != nil && a.question.status == bank.StatusAnswering:
		m.reopen(now)
	case a.byPerson:
		m.end(bank.AttemptFailed, bank.StatusCancelled)
	default:
		a.state, a.call, a.queued = bank.AttemptQueued, nil, now
	}
}

// reopen puts the question back, where that is still of use.
func (m *model) reopen(now time.Time) {
	q := m.attempt.question
	q.resending = false
	switch {
	case !now.Before(q.deadline):
		q.status = bank.StatusExpired
		m.end(bank.AttemptExpired, "")
	case q.used >= modelTries:
		q.status = bank.StatusFailed
		m.end(bank.AttemptFailed, "")
	default:
		q.status = bank.StatusOpen
		m.attempt.state, m.attempt.call = bank.AttemptWaiting, nil
	}
}

// hears is what the bank says to the worker whose attempt it is.
func (m *model) hears(v verdict, now time.Time) {
	a, q := m.attempt, m.attempt.question
	answering := q != nil && q.status == bank.StatusAnswering
	pause := m.pause
	if answering {
		pause = bank.PausedForAnswer // until it has been answered to the end
	}
	defer func() { m.pause = pause }()
	switch v {
	case bankGives:
		m.opened = true
		if a.byPerson {
			pause = ""
		}
		m.end(bank.AttemptSucceeded, bank.StatusResolved)
	case bankAsksCode, bankAsksPhone:
		pause = bank.PausedForAnswer
		if !a.byPerson {
			m.end(bank.AttemptFailed, "")
			return
		}
		next := &modelQuestion{seq: 1, phone: v == bankAsksPhone, status: bank.StatusOpen, deadline: now.Add(5 * time.Minute), keys: map[string]bool{}}
		if next.phone {
			next.deadline = now.Add(10 * time.Minute)
		}
		if q != nil {
			if next.seq, next.resends = q.seq+1, q.resends; q.resending {
				next.resends++
			}
		}
		a.question, a.state, a.call = next, bank.AttemptWaiting, nil
	case bankRejects:
		switch {
		case !answering:
			m.end(bank.AttemptFailed, "")
		case q.phone:
			m.end(bank.AttemptFailed, bank.StatusDeclined)
		default:
			m.reopen(now)
		}
	case bankIsDown:
		if !answering {
			m.end(bank.AttemptFailed, "")
			return
		}
		if !q.phone && !q.resending {
			q.used--
		}
		m.reopen(now)
	case bankRefusesPassword:
		pause = bank.PausedForFix
		m.end(bank.AttemptFailed, bank.StatusFailed)
	case connectorDies:
		if !answering {
			m.end(bank.AttemptFailed, "")
			return
		}
		m.reopen(now)
	case bankIsTooLate:
		pause = bank.PausedForAnswer
		m.end(bank.AttemptExpired, bank.StatusExpired)
	case phoneSaysNo:
		pause = bank.PausedForAnswer
		m.end(bank.AttemptFailed, bank.StatusDeclined)
	}
}
