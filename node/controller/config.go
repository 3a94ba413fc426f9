package controller

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"shoal/node/api"
)

// Config holds the controller's times and bounds. The zero value means the defaults.
type Config struct {
	// World is what the driver sees and acts through. The core does without.
	World World
	// Record puts an act of the controller on record, and returns when it is or when ctx ends. Nil keeps no record.
	Record func(ctx context.Context, a api.Act)
	// Logger is silent by default.
	Logger *slog.Logger
	// Registerer takes the driver's metrics. May be nil.
	Registerer prometheus.Registerer
	// Tick is the time between two steps when nothing happens. Default 1 second.
	Tick time.Duration
	// Rest is the least time between two steps, however much happens. Default 100 milliseconds.
	Rest time.Duration
	// Quiet is how long no member must have joined before groups grow and the placement changes. Default 5 seconds, negative for none.
	Quiet time.Duration
	// QuietMax bounds the waiting for Quiet. Default 30 seconds.
	QuietMax time.Duration
	// ReadmitAfter is how long a lost member must have been alive to be taken back. Default 1 minute.
	ReadmitAfter time.Duration
	// Backoff is the pause after an action failed; it doubles with each failure up to BackoffMax. Default 1 second, up to 1 minute.
	Backoff, BackoffMax time.Duration
	// GatherTimeout bounds the gathering of a snapshot. Default 5 seconds.
	GatherTimeout time.Duration
	// ActionTimeout bounds an action. Default 30 seconds.
	ActionTimeout time.Duration
	// ActionsMax bounds the actions under way. Default 32.
	ActionsMax int
	// PerNode is how many groups bring a replica to one node at a time. Default 2.
	PerNode int
	// LagMax is how many entries a replica may be behind to become voter or leader. Default 1,000.
	LagMax uint64
	// EvenMovesMax bounds the shards that one epoch moves for an even share alone; 0 means no bound.
	EvenMovesMax int
}

func setDefault[T int | uint64 | time.Duration](v *T, d T) {
	if *v == 0 {
		*v = d
	}
}

func (c Config) withDefaults() Config {
	setDefault(&c.Tick, time.Second)
	setDefault(&c.Rest, 100*time.Millisecond)
	setDefault(&c.Quiet, 5*time.Second)
	setDefault(&c.QuietMax, 30*time.Second)
	setDefault(&c.ReadmitAfter, time.Minute)
	setDefault(&c.Backoff, time.Second)
	setDefault(&c.BackoffMax, time.Minute)
	setDefault(&c.GatherTimeout, 5*time.Second)
	setDefault(&c.ActionTimeout, 30*time.Second)
	setDefault(&c.ActionsMax, 32)
	setDefault(&c.PerNode, 2)
	setDefault(&c.LagMax, 1000)
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

// Validate reports every problem of c at once.
func (c Config) Validate() error {
	var errs []error
	need := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	c = c.withDefaults()
	need(c.World != nil, "World is missing")
	need(c.Rest > 0 && c.Tick >= c.Rest, "Tick %v is below Rest %v, or Rest is not positive", c.Tick, c.Rest)
	need(c.QuietMax >= c.Quiet, "QuietMax %v is below Quiet %v", c.QuietMax, c.Quiet)
	need(c.ReadmitAfter > 0, "ReadmitAfter %v is not positive", c.ReadmitAfter)
	need(c.Backoff > 0 && c.BackoffMax >= c.Backoff, "Backoff %v is not within 0 and BackoffMax %v", c.Backoff, c.BackoffMax)
	need(c.GatherTimeout > 0 && c.ActionTimeout > 0, "a timeout is not positive")
	need(c.ActionsMax > 0 && c.PerNode > 0, "a bound on actions is not positive")
	need(c.EvenMovesMax >= 0, "EvenMovesMax %d is negative", c.EvenMovesMax)
	return errors.Join(errs...)
}
