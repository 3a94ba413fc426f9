package p2p

import "time"

// UntilRound is how long it is until the clock shows a multiple of every: at most every, and more than nothing. What is done now and then,
// and need not be at a time of its own, is done at such times, so that a process wakes once for all of it.
func UntilRound(now time.Time, every time.Duration) time.Duration {
	return every - time.Duration(now.UnixNano()%int64(every))
}
