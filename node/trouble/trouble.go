// Package trouble logs what fails again and again: when it begins, ever more rarely while it lasts, with how
// often it has failed, and once when it is over. What comes and goes is logged once a minute at most.
//
// What it leaves out: it decides nothing, and counts nothing for anybody but the log.
package trouble

import (
	"log/slog"
	"sync"
	"time"
)

const (
	remindFirst = time.Minute // from the first line to the second
	remindMax   = time.Hour   // between later ones, each of which takes twice as long as the one before
	// keysMax bounds how many troubles a Log keeps apart. Further ones are logged each time.
	keysMax = 1024
)

// Log logs the troubles of one part of the program. It is safe for concurrent use.
type Log struct {
	logger *slog.Logger
	now    func() time.Time

	mu     sync.Mutex // guards spells
	spells map[string]*spell
}

// spell is a time of failures in a row, or one that has just ended.
type spell struct {
	since    time.Time
	failures int
	ended    time.Time // zero while it lasts
	told     bool      // in the log, and not yet that it is over
	remind   time.Time // when the next line is due
	pause    time.Duration
}

// New makes a log. now is time.Now when it is nil.
func New(logger *slog.Logger, now func() time.Time) *Log {
	if now == nil {
		now = time.Now
	}
	return &Log{logger: logger, now: now, spells: make(map[string]*spell)}
}

// Note takes the outcome of an attempt; nil ends the trouble. what is the message, a constant; key tells
// troubles of one message apart and may be ""; attrs are logged with the line if there is one.
func (l *Log) Note(err error, what, key string, attrs ...any) {
	k, now := what+"\x00"+key, l.now()
	if err == nil {
		if s := l.end(k, now); s.told {
			l.logger.Info(what+": it works again", append(attrs, "failures", s.failures, "after", now.Sub(s.since).Round(time.Millisecond))...)
		}
		return
	}
	s, due := l.fail(k, now)
	if !due {
		return
	}
	if s.failures > 1 {
		attrs = append(attrs, "failures", s.failures, "since", s.since.UTC().Format(time.RFC3339))
	}
	l.logger.Warn(what, append(attrs, "err", err)...)
}

// end ends a spell, and gives it as it was.
func (l *Log) end(k string, now time.Time) spell {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.spells[k]
	if s == nil || !s.ended.IsZero() {
		return spell{}
	}
	was := *s
	s.ended, s.told = now, false
	return was
}

// fail counts a failure, and tells whether a line is due.
func (l *Log) fail(k string, now time.Time) (spell, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.spells[k]
	if s == nil || !s.ended.IsZero() && now.Sub(s.ended) >= s.pause {
		s = &spell{since: now, pause: remindFirst}
		if l.room(now) {
			l.spells[k] = s
		}
	} else if !s.ended.IsZero() {
		s.since, s.failures, s.ended = now, 0, time.Time{}
	}
	s.failures++
	if now.Before(s.remind) {
		return *s, false
	}
	if !s.remind.IsZero() {
		s.pause = min(2*s.pause, remindMax)
	}
	s.remind, s.told = now.Add(s.pause), true
	return *s, true
}

// room runs under mu. It forgets what is long over, and tells whether another trouble can be kept.
func (l *Log) room(now time.Time) bool {
	if len(l.spells) < keysMax {
		return true
	}
	for k, s := range l.spells {
		if !s.ended.IsZero() && now.Sub(s.ended) >= s.pause {
			delete(l.spells, k)
		}
	}
	return len(l.spells) < keysMax
}
