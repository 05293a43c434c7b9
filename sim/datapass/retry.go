package simdatapass

import (
	"context"
	"errors"
	"slices"
	"time"

	"guichet"
)

// Delay is how long DataPass waits after a delivery failed that many times (from
// 1): v1 n⁴ + 15 + up to 29 (n+1) seconds where n is one less, v2 n⁴ + 2 seconds
// and up to 15 % more. Neither ever gives up on a bad status.
func Delay(format string, failures int, clock guichet.Clock) time.Duration {
	if format == "v1" {
		n := int64(failures - 1)
		return time.Duration(n*n*n*n+15+clock.Intn(30)*(n+1)) * time.Second
	}
	n := int64(failures)
	law := time.Duration(n*n*n*n+2) * time.Second
	return law + time.Duration(clock.Intn(int64(law)*15/100+1))
}

// mostUnreached is how often v1 tries an address that does not answer at all.
const mostUnreached = 25

// errLost is a connection that broke: the source cannot know whether anything
// arrived.
var errLost = errors.New("connexion perdue")

// A delivery is one event on its way. Its bytes never change: a retry is the same
// bytes with the same signature.
type delivery struct {
	ID       int
	Provider string
	Number   int // 0: a ping
	Event    string
	Body     []byte
	At       time.Time
	Failures int
	Next     time.Time // zero: nothing more will be sent by itself
	Held     bool      // kept until it is let go
	State    string    // waiting, received, lost, retrying
	Attempts []attempt
}

// An attempt is one time it was sent. The source keeps no line of one that never
// reached anybody; Unseen ones are what only this simulation knows.
type attempt struct {
	ID     int
	At     time.Time
	Status int
	Answer string
	Unseen bool
	Replay bool
}

// Step sends whatever is due, in order, and returns how many sendings there were.
// A test moves the clock and calls it; Run calls it when the time has come.
func (s *Site) Step(ctx context.Context) int {
	s.sending.Lock()
	defer s.sending.Unlock()
	sent := 0
	for ctx.Err() == nil {
		d, sender, faulty := s.due()
		if d == nil {
			return sent
		}
		sent++
		answer, err := s.try(ctx, sender, d.Body, faulty)
		if err != nil && ctx.Err() != nil {
			return sent // it is us who end, not the connection: it is still to be sent
		}
		s.note(d, answer, err, false)
		if faulty == FaultDuplicate {
			again, err := sender.Send(ctx, d.Body)
			if err != nil && ctx.Err() != nil {
				return sent
			}
			s.note(d, again, err, false)
			sent++
		}
	}
	return sent
}

func (s *Site) try(ctx context.Context, sender Sender, body []byte, faulty string) (Answer, error) {
	switch faulty {
	case FaultDrop:
		return Answer{}, errLost
	case FaultLoseAnswer:
		_, _ = sender.Send(ctx, body) // it arrived; nobody here will know
		return Answer{}, errLost
	}
	return sender.Send(ctx, body)
}

// due takes the delivery whose time came first, and the fault that meets it.
func (s *Site) due() (*delivery, Sender, string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.clock.Now()
	var first *delivery
	for _, d := range s.memory.Deliveries {
		if !d.Held && !d.Next.IsZero() && !d.Next.After(now) && (first == nil || d.Next.Before(first.Next)) {
			first = d
		}
	}
	if first == nil {
		return nil, Sender{}, ""
	}
	return first, s.sender(first.Provider), s.meet(FaultDrop, FaultLoseAnswer, FaultDuplicate)
}

// note writes down how a sending went, and when the next one is.
func (s *Site) note(d *delivery, a Answer, err error, replay bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.clock.Now()
	s.memory.Attempts++
	one := attempt{ID: s.memory.Attempts, At: now, Status: a.Status, Answer: a.Body, Replay: replay}
	format := s.providers[d.Provider].Format
	switch {
	case err != nil:
		one.Answer, one.Unseen = errLost.Error(), true
		d.Failures++
		if d.State, d.Next = "lost", (time.Time{}); format == "v1" && d.Failures <= mostUnreached {
			d.State, d.Next = "retrying", now.Add(Delay(format, d.Failures, s.clock))
		}
	case a.Received():
		d.State, d.Next = "received", time.Time{}
	case replay: // by hand: nothing follows by itself
		d.State = "retrying"
	default:
		d.Failures++
		d.State, d.Next = "retrying", now.Add(Delay(format, d.Failures, s.clock))
	}
	d.Attempts = append(d.Attempts, one)
	s.keep()
}

// Run sends what is due when it is due, until ctx is done.
func (s *Site) Run(ctx context.Context) {
	for {
		s.Step(ctx)
		wait := time.NewTimer(s.untilNext())
		select {
		case <-ctx.Done():
			wait.Stop()
			return
		case <-s.wake:
		case <-wait.C:
		}
		wait.Stop()
	}
}

func (s *Site) untilNext() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	wait := time.Hour
	for _, d := range s.memory.Deliveries {
		if !d.Held && !d.Next.IsZero() {
			wait = min(wait, max(d.Next.Sub(s.clock.Now()), 10*time.Millisecond))
		}
	}
	return wait
}

// release lets what was held go, the newest first: no order is promised.
func (s *Site) release() {
	now := s.clock.Now()
	for i, d := range slices.Backward(s.memory.Deliveries) {
		if d.Held {
			d.Held, d.Next = false, now.Add(-time.Duration(i+1)*time.Nanosecond)
		}
	}
}
